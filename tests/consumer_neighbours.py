"""Neighbours: what Redis, the bridge and another group do to a stream that consumers read."""

from collections.abc import Iterable
from datetime import timedelta

from bridge.script import StreamScript
from bridge.settings import BridgeSettings
from pipeline.lag import read_lag
from tests.consumer_books import Books, Life
from tests.consumer_view import grow_older, order, view
from tests.consuming import GROUP, alive
from tests.looking import look
from tests.stepping import SteppedLoop

OTHER = "other"
NO_MARK = b""


class Neighbours:
    """Each of their deeds is written down in the books."""

    def __init__(self, loop: SteppedLoop, url: str, stream: str) -> None:
        self.redis, self.stream = look(url), stream
        self._loop = loop
        more = {"stream_groups": (GROUP, OTHER), "bridge_lease": timedelta(hours=1)}
        given = {"redis_url": url, "stream": stream} | more
        self._bridge = StreamScript(BridgeSettings.model_validate(given))
        self.books = Books(loop.run_until_complete(view(self.redis, stream)))

    async def observe(self, actor: Life | None = None) -> None:
        self.books.observe(await view(self.redis, self.stream), actor)

    async def pass_time(self, seconds: float) -> None:
        """Heartbeats age."""
        self._loop.now += seconds
        expired = await grow_older(self.redis, self.stream, seconds)
        self.books.time_passed(expired, self._loop.now)
        await self.observe()

    async def add(self, entries: Iterable[bytes]) -> None:
        for entry in entries:
            message = self.books.entries[entry]
            fields = {"channel": "NYSE", "message": message}
            odd = {"foo": "bar"}
            await self.redis.xadd(self.stream, odd if message == b"odd" else fields, id=entry)
        await self.observe()

    async def vanish(self) -> None:
        """As in a restart of Redis that takes longer than heartbeats live."""
        self.books.heartbeats_vanish(self._loop.now)
        for name in self.books.view.alive:
            await self.redis.delete(alive(self.stream, name.decode()))
        await self.observe()

    async def destroy(self) -> None:
        self.books.group_is_gone(with_letters=True)
        if self.books.view.ids:
            await self.redis.xgroup_destroy(self.stream, GROUP)
        await self.observe()

    async def flush(self) -> None:
        """The bridge's ring has all that was there."""
        there = self.books.view.ids
        self.books.group_is_gone(with_letters=False)
        self.books.heartbeats_vanish(self._loop.now)
        await self._forget()
        await self.add(there)

    async def cut(self) -> None:
        """What a stream at its limit loses; Redis doesn't ask who needs it."""
        here, kept = self.books.view, len(self.books.view.ids) // 2
        await self.redis.xtrim(self.stream, maxlen=kept, approximate=False)
        for entry in here.ids[: len(here.ids) - kept]:
            self.books.body_is_gone(entry)
        await self.observe()

    async def read_as_other(self, reads: int, acks: int) -> None:
        if self.books.view.ids:
            if await self._needed_by_other() is None:
                await self.redis.xgroup_create(self.stream, OTHER, id="0")
            await self.redis.xreadgroup(OTHER, "one", {self.stream: ">"}, count=reads)
            for each in await self.redis.xpending_range(self.stream, OTHER, "-", "+", acks):
                await self.redis.xack(self.stream, OTHER, each["message_id"])

    async def _needed_by_other(self) -> set[bytes] | None:
        """None without that group."""
        for group in await self.redis.xinfo_groups(self.stream):
            if group["name"] == OTHER.encode():
                pending = await self.redis.xpending_range(self.stream, OTHER, "-", "+", 10_000)
                read = order(group["last-delivered-id"])
                unread = {entry for entry in self.books.view.ids if order(entry) > read}
                return unread | {each["message_id"] for each in pending}
        return None

    async def trim(self) -> None:
        """As the bridge does it; what was needed must be there afterwards."""
        before = self.books.view
        if not before.ids:
            return
        others = await self._needed_by_other()
        taken = await self._bridge.take(b"token", NO_MARK)
        await self._bridge.trim(b"token", taken.position, NO_MARK)
        await self.observe()
        gone = set(before.ids) - set(self.books.view.ids)
        needed = {entry for entry in before.ids if before.is_to_come(entry)} | {*before.pending}
        assert not gone & needed, f"{GROUP} needs {gone & needed}"
        others = {*before.ids} if others is None else others
        assert not gone & others, f"{OTHER} needs {gone & others}"

    async def ask_for_lag(self) -> None:
        now = self.books.view
        if now.delivered is not None and not self.books.cut:
            to_come = sum(1 for entry in now.ids if now.is_to_come(entry))
            told = await read_lag(self.redis, self.stream, GROUP)
            assert told["lag_entries"] in {None, len(now.pending) + to_come}

    async def close(self) -> None:
        self._bridge.close()
        await self._forget()
        await self.redis.aclose()

    async def _forget(self) -> None:
        keys = await self.redis.keys(f"*{self.stream}*")
        if keys:
            await self.redis.delete(*keys)
