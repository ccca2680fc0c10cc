"""Rounds: the next running number of every stock at a time, and what became of them."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, NamedTuple

from tests.feed_client import Tick
from tests.meanwhile import meanwhile

EXCHANGES = ("NYSE", "NASDAQ")
STOCKS, PACE = 40, 0.05  # in seconds: at most 800 messages a second
ROWS = """
SELECT stock_name, price::int AS number, event_id FROM stock_prices
WHERE starts_with(stock_name, $1) ORDER BY event_id
"""
NEWEST = """
SELECT price::int FROM stock_prices WHERE stock_name = $1 ORDER BY timestamp DESC LIMIT 1
"""

Numbers = dict[str, list[int]]
"""Of each stock, in the order of the stream."""


class Row(NamedTuple):
    stock_name: str
    number: int
    entry_id: str


class Hole(NamedTuple):
    """Rounds of which nothing, or not all, was stored; `after`: the last entry before it."""

    after: str
    first: int
    last: int


class Rounds:
    """Published in one order, by one connection to one Redis."""

    def __init__(self, redis: Any, name: str) -> None:
        """`name` begins those of its stocks."""
        self._redis = redis
        self.name = name
        self.stocks = {f"{name}{at}": EXCHANGES[at % len(EXCHANGES)] for at in range(STOCKS)}
        self.times: list[tuple[int, int]] = []  # of each round: µs when asked, when answered

    @property
    def last(self) -> int:
        return len(self.times)

    @property
    def published(self) -> Numbers:
        return {stock: list(range(1, self.last + 1)) for stock in self.stocks}

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """A steady load meanwhile."""
        async with meanwhile(self._run):
            yield

    async def _run(self, over: asyncio.Event) -> None:
        while not over.is_set():
            number, asked_us = self.last + 1, time.time_ns() // 1000
            calls = self._redis.pipeline(transaction=False)
            for stock, exchange in self.stocks.items():
                calls.publish(exchange, f"{stock}:{number}")
            await calls.execute()
            self.times.append((asked_us, time.time_ns() // 1000))
            await asyncio.sleep(PACE)

    async def rows(self, table: Any) -> list[Row]:
        """In the order of the stream; `table`: a connection to the database."""
        found = await table.fetch(ROWS, self.name)
        return [Row(name, number, f"{id_ >> 20}-{id_ & 0xFFFFF}") for name, number, id_ in found]

    async def newest(self, table: Any) -> int:
        """The newest round of which there is a row."""
        return int(await table.fetchval(NEWEST, f"{self.name}0") or 0)

    def holes(self, rows: Sequence[Row]) -> list[Hole]:
        """Where the order that all was published in has a step of more than one."""
        places = {stock: place for place, stock in enumerate(self.stocks)}
        found, after, expected = [], "", STOCKS
        for row in rows:
            sequence = row.number * STOCKS + places[row.stock_name]
            if sequence != expected:
                found.append(Hole(after, expected // STOCKS, (sequence - 1) // STOCKS))
            after, expected = row.entry_id, sequence + 1
        return found

    def breaks(self, ticks: Iterable[Tick], rows: Iterable[Row]) -> int:
        """How often a client, of either exchange, went on behind ticks that it never had."""
        had = self.shown(ticks).keys()
        runs = defaultdict(list)
        for row in rows:
            runs[self.stocks[row.stock_name]].append(row.entry_id in had)
        return sum(before and not here for run in runs.values() for before, here in pairwise(run))

    def shown(self, ticks: Iterable[Tick]) -> dict[str, tuple[str, int]]:
        """By id, each once, as a page drops what it has had: stock and number."""
        own = [tick for tick in ticks if tick[1] in self.stocks]
        return {tick[0]: (tick[1], int(tick[2])) for tick in own}


def by_stock(some: Iterable[Row | tuple[str, int]]) -> Numbers:
    found: Numbers = defaultdict(list)
    for stock, number, *_ in some:
        found[stock].append(number)
    return dict(found)
