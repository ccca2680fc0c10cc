"""Market: running numbers published to a whole system, and what a subscriber hears of all."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError

from tests.waiting import wait_until

PREFIX = "E2E-"  # no stock of the generator's is called so
STOCKS = {"E2E-A": "NYSE", "E2E-B": "NYSE", "E2E-C": "NASDAQ", "E2E-D": "NASDAQ"}
CHANNELS = ("NYSE", "NASDAQ")
SIGN = "E2E-SIGN"
STEP, PACE = 30, 0.02  # numbers of each stock, seconds: at most 6,000 messages a second
LAST_NUMBER = 100_000  # the load ends, whatever a test does

Said = tuple[str, str, str]
"""Stock, exchange, price: what a message says, and what a row should say."""


class Position(NamedTuple):
    """How far the stream is: appends ever, and the halves of the newest entry's id."""

    appended: int
    id: tuple[int, int]

    @property
    def event_id(self) -> int:
        ms, sequence = self.id
        return ms << 20 | sequence


def halves(entry_id: str) -> tuple[int, int]:
    """Ids as Redis orders them."""
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence)


class Market:
    """Prices that are running numbers, so that what is lost or doubled shows."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self.newest = dict.fromkeys(STOCKS, "0")  # published last
        self.heard: list[Said] = []
        self._confirmed = 0  # channels
        self._open = False

    async def publish(self, exchange: str, stock_name: str, price: str) -> None:
        await self._redis.publish(exchange, f"{stock_name}:{price}")

    @asynccontextmanager
    async def trading(self) -> AsyncIterator[None]:
        """A steady load meanwhile."""
        self._open = True
        trade = asyncio.create_task(self._trade())
        try:
            yield
        finally:
            self._open = False
            await trade

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear meanwhile what every subscriber of this Redis hears, in the same order."""
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(*CHANNELS)
            listening = asyncio.create_task(self._listen(pubsub))
            try:
                await wait_until(lambda: self._confirmed == len(CHANNELS))
                yield
            finally:
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening

    async def sign(self) -> Said:
        """Publish a sign and hear it: all that was published before it is heard too."""
        sign = (SIGN, "NYSE", str(time.time_ns() // 1000))
        await self.publish("NYSE", SIGN, sign[2])
        self.newest[SIGN] = sign[2]
        await wait_until(lambda: sign in self.heard)
        return sign

    async def position(self) -> Position:
        info = await self._redis.xinfo_stream("ticks")
        return Position(info["entries-added"], halves(info["last-generated-id"].decode()))

    async def consumers(self, group: str) -> dict[str, int]:
        """Milliseconds since each has had an entry; -1: never."""
        rows = await self._redis.xinfo_consumers("ticks", group)
        return {row["name"].decode(): row["inactive"] for row in rows}

    async def is_done(self, group: str, position: Position) -> bool:
        """All that was in the stream then is delivered and acknowledged, by all of the group."""
        groups = {row["name"].decode(): row for row in await self._redis.xinfo_groups("ticks")}
        oldest = (await self._redis.xpending("ticks", group))["min"]
        return halves(groups[group]["last-delivered-id"].decode()) >= position.id and (
            oldest is None or halves(oldest.decode()) > position.id
        )

    async def _trade(self) -> None:
        for begin in range(1, LAST_NUMBER, STEP):
            if not self._open:
                return
            numbers = range(begin, begin + STEP)
            calls = self._redis.pipeline(transaction=False)
            for number in numbers:
                for stock_name, exchange in STOCKS.items():
                    calls.publish(exchange, f"{stock_name}:{number}")
            # A Redis that is away misses some numbers; none is published twice.
            with suppress(RedisConnectionError):
                await calls.execute()
                self.newest |= dict.fromkeys(STOCKS, str(numbers[-1]))
            await asyncio.sleep(PACE)

    async def _listen(self, pubsub: Any) -> None:
        async for message in pubsub.listen():
            if message["type"] == "message":
                stock_name, _, price = message["data"].decode().rpartition(":")
                self.heard.append((stock_name, message["channel"].decode(), price))
            else:
                self._confirmed += 1
