"""What candles must be: computed from the ticks one by one, and as the table has them."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Context, Decimal
from typing import TYPE_CHECKING, NamedTuple

from tests.expected import Tick

if TYPE_CHECKING:
    import asyncpg

EXACT = Context(prec=200)


class Candle(NamedTuple):
    """In the table's column order, without the key."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    sum: Decimal
    ticks: int
    first_at: datetime
    first_id: int
    last_at: datetime
    last_id: int


Candles = dict[tuple[str, int, datetime], Candle]
"""By stock, width in minutes, and start."""


def expected(ticks: Iterable[Tick]) -> Candles:
    """By brute force: every tick once, in whatever order they are given."""
    grouped = defaultdict(list)
    for tick in set(ticks):
        minute = tick.timestamp.replace(second=0, microsecond=0)
        grouped[tick.stock_name, 1, minute].append(tick)
        grouped[tick.stock_name, 60, minute.replace(minute=0)].append(tick)
    return {key: _candle(together) for key, together in grouped.items()}


def _candle(ticks: list[Tick]) -> Candle:
    ticks.sort(key=lambda tick: (tick.timestamp, tick.event_id))
    first, last = ticks[0], ticks[-1]
    total = Decimal(0)
    for tick in ticks:
        total = EXACT.add(total, tick.price)
    prices = [tick.price for tick in ticks]
    ends = (first.timestamp, first.event_id, last.timestamp, last.event_id)
    return Candle(first.price, max(prices), min(prices), last.price, total, len(ticks), *ends)


async def candles(connection: "asyncpg.Connection[asyncpg.Record]") -> Candles:
    rows = await connection.fetch("SELECT * FROM candles")
    return {(name, minutes, start): Candle(*rest) for name, minutes, start, *rest in rows}
