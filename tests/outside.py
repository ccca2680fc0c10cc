"""Outside: a whole system as its users meet it, at nginx's port, and its table for counting."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import asyncpg

from tests.feed_client import FeedClient, following
from tests.looking import look
from tests.market import PREFIX, Market, Position, halves
from tests.target import Target
from tests.waiting import wait_until

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PATIENCE = 20.0  # seconds: a restart, and the five between two bulk inserts


@dataclass(frozen=True)
class Outside:
    """What a test of the whole system has in its hands."""

    system: Target
    http: aiohttp.ClientSession
    feed: FeedClient
    market: Market

    async def get(self, path: str, **query: str) -> Any:
        """An answer's JSON, numbers as they are written; None of an error or of no answer."""
        try:
            async with self.http.get(path, params=query) as answer:
                body = await answer.read()
        except aiohttp.ClientError:
            return None
        return json.loads(body, parse_float=Decimal) if answer.ok else None

    async def sql(self, query: str, *arguments: object) -> list[Any]:
        """Rows of the table, over a connection that no test can have broken before."""
        connection = await asyncpg.connect(self.system.owner_dsn)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def is_stored(self, position: Position) -> None:
        """Return once the table has, by the api's word, what was in the stream then."""

        async def stored() -> bool:
            answer = await self.get("/api/stocks") or {"stocks": []}
            return any(halves(stock["id"]) >= position.id for stock in answer["stocks"])

        await wait_until(stored, PATIENCE, f"a row as new as {position}")

    async def is_live(self, position: Position) -> None:
        """Return once the feed has had a tick as new."""

        def live() -> bool:
            last = [publication["ticks"][-1] for publication in self.feed.publications[-2:]]
            return any(halves(tick[0]) >= position.id for tick in last)

        await wait_until(live, PATIENCE, f"a tick as new as {position}")

    async def is_back(self, name: str) -> None:
        """Return once what was appended since is where the one that was away has to bring it."""
        since = await self.market.position()
        if name in ("writer", "postgres"):
            await self.is_stored(since)
        elif name == "api":
            await wait_until(lambda: self.get("/api/status"), PATIENCE)
        else:
            await self.is_live(since)


@asynccontextmanager
async def outside(system: Target) -> AsyncIterator[Outside]:
    """Leaves none of the test's stocks behind, if the test has seen them stored."""
    websocket = system.url.replace("http", "ws", 1) + "/connection/websocket"
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(system.url))
        feed = await stack.enter_async_context(following(websocket, "prices:NYSE", "prices:NASDAQ"))
        redis = await stack.enter_async_context(look(lambda: system.redis_url))
        there = Outside(system, http, feed, Market(redis))
        yield there
        await there.sql("DELETE FROM stock_prices WHERE starts_with(stock_name, $1)", PREFIX)
        await there.sql("DELETE FROM candles WHERE starts_with(stock_name, $1)", PREFIX)


def in_us(timestamp: str) -> int:
    """RFC 3339 as µs since the epoch."""
    return (datetime.fromisoformat(timestamp) - EPOCH) // timedelta(microseconds=1)
