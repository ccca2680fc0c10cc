"""Scene: bridges and readers on a Redis that may move, a load, and what became of all of it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from tests.conftest import Database
from tests.consumers import start_forwarder, start_writer
from tests.looking import look
from tests.numbering import Number, Numbered, counting
from tests.servers import CentrifugoServer
from tests.services import Event, Service, StartService
from tests.ticks import settled
from tests.ticks import stored as rows_of
from tests.waiting import wait_until

STREAM, CHANNEL = "ticks", "NYSE"
LAST = "SELECT stock_name, max(price)::int AS last FROM stock_prices GROUP BY stock_name"
CAUGHT_UP = 40.0
ON_ITS_WAY = 50_000  # µs that a price may take to a bridge


class Place(Protocol):
    """A cluster, or a master and Sentinels."""

    def settings(self, user: str) -> dict[str, str]:
        """A service's."""

    def url(self, stream: str) -> str:
        """The operator's, of the Redis that is the stream's master now."""

    def appended(self, stream: str) -> int:
        """Entries that were ever added."""


@dataclass
class Scene:
    """Two bridges of all streams, which run as users of the product."""

    place: Place
    postgres: Database
    service: StartService
    shards: int = 3
    bridges: list[Service] = field(default_factory=list)

    @property
    def streams(self) -> list[str]:
        return [f"{STREAM}:{{{n}}}" for n in range(self.shards)] if self.shards > 1 else [STREAM]

    def start_bridge(self) -> Service:
        """One more."""
        self.bridges.append(self.service("bridge", **self.own("bridge"), CHANNELS=CHANNEL))
        return self.bridges[-1]

    async def add_bridge(self) -> Service:
        """One that leads, or has lined up with the one that does."""
        event = "bridge.lined_up" if self.bridges else "lease.taken"
        self.start_bridge()
        for shard in range(self.shards):
            about = self._about(shard)
            await self.bridges[-1].wait_for(event, 20.0, **about)
        return self.bridges[-1]

    def add_writer(self, name: str) -> Service:
        own, server = self.own("writer") | {"CONSUMER": name}, self.postgres.server
        return start_writer(self.service, own.pop("REDIS_URL"), server, own.pop("STREAM"), **own)

    def add_forwarder(self, centrifugo: CentrifugoServer) -> Service:
        own = self.own("forwarder")
        url, stream = own.pop("REDIS_URL"), own.pop("STREAM")
        return start_forwarder(self.service, url, centrifugo, stream, **own)

    def _about(self, shard: int) -> dict[str, int]:
        return {"shard": shard} if self.shards > 1 else {}

    def own(self, user: str) -> dict[str, Any]:
        """A service's settings."""
        return self.place.settings(user) | {"STREAM": STREAM, "SHARDS": self.shards}

    def load(self, where: Callable[[], str]) -> AbstractAsyncContextManager[Numbered]:
        """Published on that node."""
        return counting(CHANNEL, where)

    def listened(self, shard: int = 0) -> set[str]:
        """Nodes that the running bridges listen on, each the last that it said."""
        about = self._about(shard)
        found = set()
        for bridge in self.bridges:
            said = [e for e in bridge.events if e["event"] == "bridge.subscribed"]
            own = [e["node"] for e in said if about.items() <= e.items()]
            found.update(own[-1:] if bridge.running else [])
        return found

    def leader(self, shard: int = 0) -> Service:
        """The running bridge that took the lease last."""
        about = self._about(shard)
        takes = [
            (event["at"], index)
            for index, bridge in enumerate(self.bridges)
            for event in bridge.events
            if event["event"] == "lease.taken" and about.items() <= event.items()
            if bridge.running
        ]
        return self.bridges[max(takes)[1]]

    def nothing_was_missed(self) -> None:
        """As the bridges see it."""
        for bridge in self.bridges:
            for bad in ("bridge.gap", "bridge.unaligned", "stream.foreign", "bridge.overflow"):
                assert not bridge.find(bad), bridge.transcript()

    def gaps(self) -> list[Event]:
        """All that were said."""
        return [e for bridge in self.bridges for e in bridge.events if e["event"] == "bridge.gap"]

    async def unsaid(self, numbers: Numbered) -> set[Number]:
        """What is missing, and was published in no gap that a bridge said."""
        spans = [(gap["from_us"] - ON_ITS_WAY, gap["to_us"]) for gap in self.gaps()]

        def said(number: Number) -> bool:
            asked_us, answered_us = numbers.published[number]
            return any(asked_us < to_us and answered_us > from_us for from_us, to_us in spans)

        # Bridges that go from one node to another in two moments can't always know what the other
        # one has appended meanwhile: then they say so, and repeat rather than lose.
        unaligned = any(bridge.find("bridge.unaligned") for bridge in self.bridges)
        missing = await self.missing(numbers, repeats=unaligned)
        return {number for number in missing if not said(number)}

    async def rows_are_entries(self) -> None:
        """Nothing is stored that no stream has; none of which anything was trimmed."""
        entries: set[int] = set()
        for stream in self.streams:
            async with look(self.place.url(stream)) as redis:
                for entry_id, _ in await redis.xrange(stream):
                    ms, sequence = map(int, entry_id.split(b"-"))
                    entries.add(ms << 20 | sequence)
        assert {row.event_id for row in await rows_of(self.postgres.connection)} == entries

    async def further(self, stream: str, by: int = 500) -> None:
        """Return once so many more are in it."""
        before = self.place.appended(stream)
        await wait_until(
            lambda: self.place.appended(stream) >= before + by, CAUGHT_UP, f"{by} more in {stream}"
        )

    async def stored(self) -> None:
        """Return once the writer has stored all that is in the streams."""
        for stream in self.streams:
            async with look(partial(self.place.url, stream)) as redis:
                await wait_until(partial(settled, redis, stream, "writer"), CAUGHT_UP, stream)

    async def missing(self, numbers: Numbered, *, repeats: bool = False) -> set[Number]:
        """Of what was published, once the last prices are stored; raises if one is there twice."""
        await wait_until(partial(self._has_last, numbers), CAUGHT_UP, "the last prices")
        await self.stored()
        rows = await rows_of(self.postgres.connection)
        found = ((row.stock_name, int(row.price)) for row in rows)
        return numbers.missing(found, repeats=repeats)

    async def _has_last(self, numbers: Numbered) -> bool:
        rows = await self.postgres.connection.fetch(LAST)
        return {row["stock_name"]: row["last"] for row in rows}.items() >= numbers.last.items()
