"""Numbered: a market whose prices count, so that whoever has them can tell what is missing."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.meanwhile import meanwhile

STOCKS = 30
TOGETHER, PAUSE = 20, 0.01  # at most 2,000 a second: other tests run beside

Number = tuple[str, int]
"""Of a stock."""


class Numbered:
    """What was published: each stock's prices are 1, 2, 3 and so on."""

    def __init__(self) -> None:
        self.published: dict[Number, tuple[int, int]] = {}  # asked and answered when, in µs
        self.unanswered: set[Number] = set()  # published, perhaps
        self._next = 0

    def make(self) -> list[Number]:
        """The next ones."""
        first, self._next = self._next, self._next + TOGETHER
        return [(f"S{n % STOCKS}", n // STOCKS + 1) for n in range(first, self._next)]

    @property
    def last(self) -> dict[str, int]:
        """Of each stock."""
        last: dict[str, int] = {}
        for stock, number in self.published:
            last[stock] = max(number, last.get(stock, 0))
        return last

    def missing(self, found: Iterable[Number], *, repeats: bool = False) -> set[Number]:
        """Of what was published for sure; raises if anything is there twice or out of order.

        Unless there may be `repeats`.
        """
        numbers: dict[str, list[int]] = {}
        for stock, number in found:
            numbers.setdefault(stock, []).append(number)
        for stock, own in numbers.items():
            in_order = own == sorted(set(own))
            assert repeats or in_order, f"{stock} is out of order or has a number twice"
        known = {(stock, number) for stock, own in numbers.items() for number in own}
        assert not known - self.published.keys() - self.unanswered, "never published"
        return self.published.keys() - known


class _Publisher:
    """Says it when a call failed, and tries none again: it may have been published."""

    def __init__(self, channel: str, where: Callable[[], str]) -> None:
        self._channel, self._where = channel, where
        self._redis: Any = None

    async def publish(self, messages: Sequence[bytes]) -> bool:
        try:
            if not self._redis:
                never = Retry(NoBackoff(), 0)
                self._redis = Redis.from_url(self._where(), protocol=2, retry=never)
            async with self._redis.pipeline(transaction=False) as batch:
                for message in messages:
                    batch.publish(self._channel, message)
                await batch.execute()
        except (RedisError, OSError):
            await self.close()
            return False
        return True

    async def close(self) -> None:
        redis, self._redis = self._redis, None
        if redis:
            await redis.aclose()


@asynccontextmanager
async def counting(channel: str, where: Callable[[], str]) -> AsyncIterator[Numbered]:
    """Publishes until the end; `where` is asked before each connection."""
    numbers, publisher = Numbered(), _Publisher(channel, where)

    async def trade(over: asyncio.Event) -> None:
        while not over.is_set():
            new, asked_us = numbers.make(), time.time_ns() // 1000
            if await publisher.publish([f"{stock}:{number}".encode() for stock, number in new]):
                times = asked_us, time.time_ns() // 1000
                numbers.published.update(dict.fromkeys(new, times))
            else:
                numbers.unanswered.update(new)
            await asyncio.sleep(PAUSE)

    try:
        async with meanwhile(trade):
            yield numbers
    finally:
        await publisher.close()
