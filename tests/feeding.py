"""What tests put into a running system: prices onto its channel, ticks straight into its table."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.api_process import Tick, store
from tests.looking import look
from tests.target import Target


async def publish(system: Target, *messages: str) -> None:
    """On NYSE, each as `NAME:PRICE`."""
    async with look(system.redis_url) as redis:
        for message in messages:
            await redis.publish("NYSE", message)


@asynccontextmanager
async def stored(system: Target, stock: str, ticks: Iterable[Tick]) -> AsyncIterator[Any]:
    """They are in the table, by the owner's connection, and all of the stock is gone afterwards."""
    owner = await asyncpg.connect(system.owner_dsn)
    try:
        await store(owner, ticks)
        yield owner
    finally:
        await owner.execute("DELETE FROM stock_prices WHERE stock_name = $1", stock)
        await owner.execute("DELETE FROM candles WHERE stock_name = $1", stock)
        await owner.close()
