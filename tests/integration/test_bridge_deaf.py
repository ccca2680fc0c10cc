"""A subscription from which nothing comes any more, though Redis and the kernel think it lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from tests.bridging import (
    another,
    have_appended,
    load,
    messages,
    numbered,
    publish,
    reaches,
    start,
)
from tests.looking import look
from tests.servers import LOOPBACK, RedisServer, free_ports
from tests.services import StartService
from tests.stand_in import close_all
from tests.waiting import wait_until


class Way:
    """A way to Redis; `swallow` makes its subscriptions silent for ever, both ways.

    `late` keeps what comes on them, until there is more: as a network does that was cut off.
    """

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url).port
        self.port = free_ports(1)
        self.url = url.replace(f":{self._to}", f":{self.port}")
        self.swallow = self.late = False
        self._connecting: list[asyncio.Future[None]] = []
        self._passing: list[asyncio.Future[object]] = []
        self._ends: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Way"]:
        server = await asyncio.start_server(self._begin, LOOPBACK, self.port)
        try:
            yield self
        finally:
            server.close()
            # Who is still on the way to Redis has an end here that nobody else knows of.
            while self._connecting:
                await asyncio.gather(self._connecting.pop(), return_exceptions=True)
            await close_all(self._ends)
            await asyncio.gather(*self._passing, return_exceptions=True)

    def _begin(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._ends.append(back)
        self._connecting.append(asyncio.ensure_future(self._connect(near, back)))

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, on = await asyncio.open_connection(LOOPBACK, self._to)
        subscribed = asyncio.Event()
        self._ends.append(on)
        for source, to in ((near, on), (far, back)):
            self._passing.append(asyncio.ensure_future(self._pass(source, to, subscribed)))

    async def _pass(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, subscribed: asyncio.Event
    ) -> None:
        kept = b""
        while data := await source.read(1 << 16):
            if b"SUBSCRIBE" in data:
                subscribed.set()
            kept += data
            if not (self.late and subscribed.is_set()):
                if not (self.swallow and subscribed.is_set()):
                    to.write(kept)
                kept = b""
        to.close()


async def test_a_bridge_alone_appends_what_it_has_though_it_hears_nothing(
    own_redis: RedisServer, service: StartService
) -> None:
    async with Way(own_redis.url).opened() as way, look(own_redis.url) as redis:
        bridge = await start(service, way.url, "ticks")
        await publish(redis, "ticks", *numbered(0, 10))
        await have_appended(redis, "ticks", 10)
        way.swallow = True
        since = len(bridge.events)
        await redis.delete("{ticks}:lease")
        await bridge.wait_for("lease.taken", since=since)
        await bridge.wait_for("outage", limit=20, reason="subscription is silent")
    assert sum(event["event"] == "lease.lost" for event in bridge.events) == 1, bridge.transcript()


async def test_what_is_still_on_its_way_to_a_bridge_may_be_appended_already(
    own_redis: RedisServer, service: StartService
) -> None:
    async with Way(own_redis.url).opened() as way, look(own_redis.url) as redis:
        late = await start(service, way.url, "ticks")
        other = another(service, own_redis.url, "ticks")
        await other.wait_for("bridge.lined_up")
        async with load(redis, "ticks") as sent:
            way.late = True
            await other.wait_for("lease.taken")
            await have_appended(redis, "ticks", sent[-1])
            since = len(late.events)
            other.kill()
            await wait_until(
                lambda: late.find("lease.taken", since) or late.find("lease.yielded", since)
            )
            way.late = False
            await late.wait_for("lease.taken", since=since)
        newest = sent[-1]
        await wait_until(partial(reaches, redis, "ticks", newest))
        assert await messages(redis, "ticks") == numbered(0, newest + 1), late.transcript()
