"""A subscription from which nothing comes any more, though Redis and the kernel think it lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.bridging import have_appended, numbered, publish, start
from tests.looking import look
from tests.servers import LOOPBACK, RedisServer, free_ports
from tests.services import StartService


class Way:
    """A way to Redis; `swallow` makes its subscriptions silent for ever, both ways."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url).port
        self.port = free_ports(1)
        self.url = url.replace(f":{self._to}", f":{self.port}")
        self.swallow = False
        self._passing: list[asyncio.Future[object]] = []
        self._ends: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Way"]:
        server = await asyncio.start_server(self._connect, LOOPBACK, self.port)
        try:
            yield self
        finally:
            server.close()
            for end in self._ends:
                end.close()
            await asyncio.gather(*self._passing, return_exceptions=True)

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, on = await asyncio.open_connection(LOOPBACK, self._to)
        subscribed = asyncio.Event()
        self._ends += (on, back)
        for source, to in ((near, on), (far, back)):
            self._passing.append(asyncio.ensure_future(self._pass(source, to, subscribed)))

    async def _pass(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, subscribed: asyncio.Event
    ) -> None:
        while data := await source.read(1 << 16):
            if b"SUBSCRIBE" in data:
                subscribed.set()
            if not (self.swallow and subscribed.is_set()):
                to.write(data)
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
