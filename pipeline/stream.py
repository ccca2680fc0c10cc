"""Consumer: a group's member on the tick stream: own backlog, dead peers', then new; ack, bury."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import groupby
from time import monotonic
from typing import Any, NamedTuple

from redis.asyncio import Redis

from pipeline.dead_letters import DeadLetters
from pipeline.events import emit
from pipeline.group import BEGINNING, NEW, Group
from pipeline.metrics import AGES_EVERY, Ages
from pipeline.outage import Outage, Stopped, pause, persist, say
from pipeline.peers import Peers
from pipeline.settings import StreamSettings
from pipeline.suspects import REASON, Suspects

HALF_A_STOP = 4.0  # seconds; two batches as slow as that are settled before a stop's limit
A_READ_IS_SENT = 0.001  # seconds; Redis reads while the handler computes
JUDGED_TOGETHER = 1000  # entries over which "most are invalid" is judged

Entry = tuple[bytes, bytes, bytes]
"""Entry id, channel, message. A plain tuple: there are a hundred thousand a second."""


class Rejected(NamedTuple):
    """An entry that nobody can ever use."""

    entry: Entry
    reason: str


Handler = Callable[[Sequence[Entry]], Awaitable[Sequence[Rejected]]]
"""Has the effect of a whole batch, or raises Outage; says which entries it can't use."""


class Gathering(NamedTuple):
    """How entries become a batch: the first ones, then up to `limit` until `interval` is over."""

    limit: int
    interval: timedelta = timedelta(0)
    pace: timedelta = timedelta(0)  # at least this long between two reads: fewer, fuller ones
    ahead: bool = False  # the next batch is gathered while the handler has a full one


class Consumer:
    """Hands batches to a handler and acknowledges them after its effect."""

    def __init__(
        self, redis: Redis, group: str, settings: StreamSettings, gathering: Gathering
    ) -> None:
        self._group = group
        self._settings = settings
        self._gathering = gathering
        self._stream = Group(redis, group, settings)
        self._peers = Peers(redis, group, settings)
        self._suspects = Suspects(redis, group, settings, self._peers.process)
        self._dead_letters = DeadLetters(redis, group, settings)
        self._backlog_after: bytes | None = BEGINNING  # None: our backlog is read to its end
        self._redelivered = False
        self._flush_at = self._read_at = 0.0
        self._judged = self._invalid = 0
        self._counts = {"handled": 0, "dead_letters": 0, "batches": 0}
        self._ages = Ages()  # from the bridge's receipt to the handler's effect

    def metrics(self) -> dict[str, object]:
        """Cumulative, but for the quantiles: those are of the time since the last call."""
        return {**self._counts, "age_seconds": self._ages.read()}

    async def run(self, handle: Handler, stop: asyncio.Event) -> None:
        """Handle batches until `stop`. What is unacknowledged then is delivered again later."""
        with suppress(Stopped):
            async with self._peers.joined(stop):
                with suppress(Stopped):
                    await persist(self._stream.ensure, stop)
                    await self._work(handle, stop)

    async def _work(self, handle: Handler, stop: asyncio.Event) -> None:
        ahead: list[Any] = []
        while ahead or not stop.is_set():
            entries, ahead = ahead or await persist(partial(self._next, stop), stop), []
            if not entries:
                continue
            if self._redelivered:
                await self._settle_again(entries, handle, stop)
            elif stop.is_set() or not await self._may_read_ahead(len(entries)):
                await self._settle(entries, handle, stop)
            else:
                ahead = await self._settle_and_gather(entries, handle, stop)

    async def _may_read_ahead(self, in_hand: int) -> bool:
        """Only behind, and not if a backlog is next: ours or of dead peers, looked for here too."""
        if not self._gathering.ahead or in_hand < self._gathering.limit or self._backlog_after:
            return False
        try:
            if await self._peers.claim(in_hand):
                self._backlog_after = BEGINNING
        except Outage as outage:  # no reason for what is in hand to wait
            say(outage, 0, 0)
            return False
        return not self._backlog_after

    async def _settle_and_gather(
        self, entries: list[Any], handle: Handler, stop: asyncio.Event
    ) -> list[Any]:
        """Settle a batch while the next one is gathered, and return that.

        Asked to stop in the course of a slow one, we leave the next to others: it stays pending.
        A bug in reading waits for the batch in hand, however long that takes.
        """
        began = monotonic()
        reading = asyncio.create_task(self._read_ahead(stop))
        try:
            await asyncio.sleep(A_READ_IS_SENT)
            await self._settle(entries, handle, stop)
            if stop.is_set() and monotonic() - began > HALF_A_STOP:
                raise Stopped
            return await reading
        finally:
            while not reading.done():  # Python 3.11's wait_for, in the client, may swallow this
                reading.cancel()
                await asyncio.wait({reading}, timeout=1)

    async def _read_ahead(self, stop: asyncio.Event) -> list[Any]:
        try:
            return await self._gather(stop)
        except Outage as outage:  # it is waited for when nothing is in hand
            say(outage, 0, 0)
            return []

    async def _settle_again(self, entries: list[Any], handle: Handler, stop: asyncio.Event) -> None:
        """Of our backlog: a suspect is tried alone, what is between suspects together."""
        ids = [entry[0] for entry in entries]
        suspects = await persist(partial(self._suspects.among, ids, self._peers.name), stop)

        async def alone(batch: Sequence[Entry]) -> Sequence[Rejected]:
            rejected = await self._suspects.attempt(batch[0][0], partial(handle, batch))
            return [Rejected(batch[0], REASON)] if rejected is None else rejected

        for suspected, some in groupby(entries, key=lambda entry: entry[0] in suspects):
            if not suspected:
                await self._settle(list(some), handle, stop)
                continue
            for entry in some:
                if stop.is_set():
                    raise Stopped
                await self._settle([entry], alone, stop)

    async def _settle(self, entries: list[Any], handle: Handler, stop: asyncio.Event) -> None:
        """One batch from delivery to acknowledgement."""
        usable, rejected = self._check(entries)
        rejected += await persist(partial(handle, usable), stop) if usable else ()
        self._ages.observe_batch([entry[0] for entry in usable[::AGES_EVERY]], len(usable))
        await persist(partial(self._acknowledge, [entry[0] for entry in entries], rejected), stop)
        self._counts["handled"] += len(entries) - len(rejected)
        self._counts["dead_letters"] += len(rejected)
        self._counts["batches"] += 1
        self._judge(len(entries), len(rejected))

    async def _next(self, stop: asyncio.Event) -> list[Any]:
        """Our own backlog first, then what dead peers left, then new entries."""
        while self._backlog_after or await self._peers.claim():
            after = self._backlog_after or BEGINNING
            if mine := await self._read(after, self._settings.batch):
                self._backlog_after = mine[-1][0]
                self._redelivered = True
                return mine
            self._backlog_after = None
        self._redelivered = False
        return await self._gather(stop)

    async def _gather(self, stop: asyncio.Event) -> list[Any]:
        """New entries: none on an idle stream, else as many as the gathering allows."""
        limit, interval, pace, _ = self._gathering
        loop = asyncio.get_running_loop()
        if (rest := self._read_at + pace.total_seconds() - loop.time()) > 0:
            await asyncio.sleep(rest)
        first = min(limit, self._settings.batch)
        entries = await self._read(NEW, first, self._settings.block)
        self._read_at = loop.time() if len(entries) < first else 0.0  # nothing to wait for: behind
        if not interval or not entries:
            return entries
        now, seconds = loop.time(), interval.total_seconds()
        self._flush_at += seconds
        if not now <= self._flush_at <= now + seconds:  # we are late, or full batches came early
            self._flush_at = now + seconds
        while len(entries) < limit and not stop.is_set() and self._flush_at > loop.time():
            asked = min(limit - len(entries), self._settings.batch)
            try:
                more = await self._read(NEW, asked)
            except Outage as outage:  # to read again would deliver once more what we have
                say(outage, 0, 0)
                break
            entries += more
            if len(more) < asked:
                rest = min(pace.total_seconds(), self._flush_at - loop.time())
                await pause(stop, max(rest, 0))
        return entries

    async def _read(self, after: bytes, count: int, block: timedelta | None = None) -> list[Any]:
        try:
            return await self._stream.read(self._peers.name, after, count, block)
        except Outage:
            self._backlog_after = BEGINNING  # a lost reply has delivered what it had, all the same
            raise

    def _check(self, entries: list[Any]) -> tuple[list[Entry], list[Rejected]]:
        """Those that have the stream's two fields, and the others."""
        usable = [
            (entry_id, fields[1], fields[3])
            for entry_id, fields in entries
            if fields
            and len(fields) == 4  # noqa: PLR2004 - two names, two values
            and fields[0] == b"channel"
            and fields[2] == b"message"
        ]
        rejected: list[Rejected] = []
        if len(usable) < len(entries):
            known = {entry[0] for entry in usable}
            for entry_id, fields in entries:
                if not fields:
                    emit("stream.entry_lost", group=self._group, entry=entry_id.decode())
                elif entry_id not in known:
                    found = (entry_id, b"", b" ".join(fields))
                    rejected.append(Rejected(found, "fields are not channel and message"))
        return usable, rejected

    async def _acknowledge(self, ids: Sequence[bytes], rejected: Sequence[Rejected]) -> None:
        """After the effect. A burial acknowledges in the same step: never lost, never twice."""
        for entry, reason in rejected:
            await self._dead_letters.bury(entry, reason)
        await self._stream.acknowledge(ids)
        for (entry_id, _, message), reason in rejected:
            shown = {"entry": entry_id.decode(), "reason": reason, "message": repr(message[:80])}
            emit("dead_letter", group=self._group, **shown)

    def _judge(self, seen: int, invalid: int) -> None:
        """Most of many entries invalid: the format changed. An incident, but we go on."""
        self._judged += seen
        self._invalid += invalid
        if self._judged >= JUDGED_TOGETHER:
            if self._invalid * 2 > self._judged:
                share = {"invalid": self._invalid, "of": self._judged}
                emit("stream.mostly_invalid", group=self._group, **share)
            self._judged = self._invalid = 0
