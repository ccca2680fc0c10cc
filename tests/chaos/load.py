"""Load: prices that are running numbers of each stock, and what Redis said to each PUBLISH."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

STOCKS = {
    "CHAOS-A": "NYSE",
    "CHAOS-B": "NYSE",
    "CHAOS-C": "NYSE",
    "CHAOS-D": "NASDAQ",
    "CHAOS-E": "NASDAQ",
    "CHAOS-F": "NASDAQ",
}
PACE = 0.02  # seconds between two pipelines
AGAIN_AFTER = 0.1


class Load:
    """Publishes until it is stopped; a number that may or may not have gone out is never reused."""

    def __init__(self, redis_url: str, rate: int) -> None:
        # No time limit: a Redis that is stopped takes it later, and a second connection would
        # overtake the first.
        self._redis: Any = Redis.from_url(redis_url, socket_timeout=None)
        self._step = max(1, round(rate * PACE / len(STOCKS)))
        self.number = 0  # the last one, of every stock
        self.heard: dict[str, set[int]] = {name: set() for name in STOCKS}  # by at least one bridge
        self.unsure: dict[str, set[int]] = {name: set() for name in STOCKS}  # no answer
        self.times: dict[int, tuple[int, int]] = {}  # of a number: µs when asked, when answered
        self.unheard = 0
        self._stop = asyncio.Event()

    @property
    def published(self) -> int:
        return sum(map(len, self.heard.values()))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A steady load meanwhile; at a good end the last ticks of all have reached a bridge."""
        task = asyncio.create_task(self._run())
        try:
            yield
            self._stop.set()
            await task
        finally:
            task.cancel()
            await asyncio.wait({task})
            await self._redis.aclose()

    async def _run(self) -> None:
        while not self._stop.is_set() or not await self._publish(1):
            await self._publish(self._step)
            await asyncio.sleep(PACE)

    async def _publish(self, step: int) -> bool:
        """The next numbers of each stock, in one pipeline; whether a bridge had them all."""
        numbers = range(self.number + 1, self.number + 1 + step)
        self.number = numbers[-1]
        what = [(name, number) for number in numbers for name in STOCKS]
        calls = self._redis.pipeline(transaction=False)
        for name, number in what:
            calls.publish(STOCKS[name], message(name, number))
        asked_us = time.time_ns() // 1000
        try:
            receivers = await calls.execute()
        except (RedisError, OSError):
            for name, number in what:
                self.unsure[name].add(number)
            await asyncio.sleep(AGAIN_AFTER)
            return False
        answered_us = time.time_ns() // 1000
        self.times |= dict.fromkeys(numbers, (asked_us, answered_us))
        for (name, number), count in zip(what, receivers, strict=True):
            if count:
                self.heard[name].add(number)
        self.unheard += receivers.count(0)
        return 0 not in receivers


def message(name: str, number: int) -> str:
    return f"{name}:{number // 100}.{number % 100:02d}"
