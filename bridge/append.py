"""Appender: the backlog into the tick stream, fenced by a lease and a position."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from secrets import token_hex
from time import monotonic

from bridge.backlog import Backlog, Piece
from bridge.channels import Gap, Subscription
from bridge.ids import EntryIds, id_pair, id_us
from bridge.ring import Ring
from bridge.script import Batch, Reply, StreamScript
from bridge.settings import BridgeSettings
from pipeline.events import beat, emit
from pipeline.metrics import AGES_EVERY, Ages, Distribution
from pipeline.outage import Stopped, pause, persist

TRIM_EVERY = 1.0
PACE = 0.001  # between two calls under load: fewer, larger calls for a millisecond of delay
NOTHING = Batch([], [], [])


class Appender:
    """The one hand that writes to the stream, while it holds the lease."""

    def __init__(self, settings: BridgeSettings, backlog: Backlog) -> None:
        self._settings = settings
        self._backlog = backlog
        self._lease_s = settings.bridge_lease.total_seconds()
        self._script = StreamScript(settings)
        self._token = ""  # empty: no lease
        self._ids = EntryIds()
        self._position = 0
        self._batch = NOTHING  # in flight: has its ids, not known to be in the stream
        self._ring = Ring(settings.bridge_replay)
        self._again: deque[Batch] = deque()  # of the ring: what the stream lost
        self._called_at = self._trimmed_at = 0.0
        self._gaps: list[Gap] = []  # said, not yet kept in Redis
        counters = ("appended", "refused", "trimmed", "calls", "gaps", "gap_seconds")
        self._counts: dict[str, float] = dict.fromkeys((*counters, "lease_changes"), 0)
        self._seconds = Distribution()  # of one call that appends
        self._ages = Ages()  # from receipt to the word that it is in the stream

    def metrics(self) -> dict[str, object]:
        """Cumulative, but for the quantiles: those are of the time since the last call."""
        backlog = self._backlog
        return {
            "received": backlog.received,
            **self._counts,
            "dropped": backlog.dropped,
            "waiting": backlog.length + len(self._batch.ids),
            "append_seconds": self._seconds.read(),
            "age_seconds": self._ages.read(),
        }

    @property
    def _in_hand(self) -> bool:
        return bool(self._batch.ids or self._again)

    def note_gap(self, gap: Gap) -> None:
        """Say that a time without a subscription is over, and keep it for the status page."""
        emit("bridge.gap", **gap._asdict(), seconds=gap.seconds)
        self._counts["gaps"] += 1
        self._counts["gap_seconds"] += max(gap.seconds, 0)  # a clock may have stepped back
        self._gaps.append(gap)

    async def look(self) -> None:
        """Learn the stream's position before anything is received."""
        self._adopt(await self._script.release("nobody"))

    async def run(self, subscription: Subscription, give_up: asyncio.Event) -> None:
        """Append until the backlog is closed and empty, or until `give_up`."""
        try:
            await self._lead(give_up, subscription)
            while self._in_hand or self._backlog.length or not self._backlog.closed:
                await self._gather()
                await persist(self._step, give_up)
                if not self._token:
                    await self._lead(give_up)
                beat(self._settings.heartbeat_file)
            await persist(partial(self._script.release, self._token), give_up)
        except Stopped:
            emit("outage", neighbour="redis", reason="stopped before all was appended")
        finally:
            self._script.close()

    async def _lead(self, give_up: asyncio.Event, subscription: Subscription | None = None) -> None:
        """Wait for the lease, then go on from what the stream says."""
        token = token_hex(8)
        waited = False
        take = partial(self._script.take, token, self._batch)
        while (reply := await persist(take, give_up)).status != "OK":
            if not waited:
                emit("lease.held", position=reply.position)
            waited = True
            await pause(give_up, self._lease_s / 4)
            beat(self._settings.heartbeat_file)
            if give_up.is_set():
                raise Stopped
        self._token = token
        last_us = id_us(reply.last_id)
        strangers, discarded = self._adopt(reply), 0
        if strangers > 0:
            # The other bridge had the same messages. To the µs, until standbys line up exactly.
            discarded = self._backlog.discard_until(last_us)
        elif subscription and last_us:
            self.note_gap(Gap(last_us, subscription.since_us, "start"))
        self._counts["lease_changes"] += 1
        emit("lease.taken", position=reply.position, discarded=discarded)
        if strangers < 0:
            self._say_behind(-strangers)

    async def _gather(self) -> None:
        """Have a batch in flight; return without one in time to renew the lease."""
        if self._in_hand:
            return
        try:
            async with asyncio.timeout(self._lease_s / 4):
                await self._backlog.arrival.wait()
        except TimeoutError:
            return
        loop = asyncio.get_running_loop()
        if (rest := self._called_at + PACE - loop.time()) > 0:
            await asyncio.sleep(rest)
        self._called_at = loop.time()
        if pieces := self._backlog.take():
            self._batch = self._stamp(pieces)

    def _stamp(self, pieces: Sequence[Piece]) -> Batch:
        batch = Batch([], [], [])
        for received_us, messages, _ in pieces:
            batch.ids += self._ids.stamp(received_us, len(messages))
            batch.channels += [message[1] for message in messages]
            batch.messages += [message[2] for message in messages]
        return batch

    async def _step(self) -> None:
        """Append what the stream lost, then the batch in flight, or none, which renews the lease.

        Safe to repeat.
        """
        # Before the append, not after: only trimming makes room in a Redis that refuses it.
        if not await self._maintain():
            return
        began = monotonic()
        batch = self._again[0] if self._again else self._batch
        reply = await self._script.append(self._token, self._position, batch, self._batch.mark)
        self._counts["calls"] += 1
        if batch.ids:  # else it only renewed the lease
            self._seconds.observe(monotonic() - began)
        if self._holds(reply):
            self._position = reply.position
            if self._again:
                self._again.popleft()
            else:
                self._landed()

    def _holds(self, reply: Reply) -> bool:
        """Whether the stream was as expected and still ours; learns from the reply if not."""
        if reply.status == "FENCED":
            emit("lease.lost")
            self._token = ""
        elif reply.status == "MOVED" and (strangers := self._adopt(reply)) > 0:
            emit("stream.foreign", entries=strangers)
        elif reply.status == "MOVED" and strangers < 0:
            self._say_behind(-strangers)
        return reply.status == "OK"

    def _say_behind(self, entries: int) -> None:
        emit("stream.behind", entries=entries, appended_again=sum(len(b.ids) for b in self._again))

    def _adopt(self, reply: Reply) -> int:
        """Go on from the stream's own position; what it lost, or isn't there of ours, goes again.

        Says how many entries the stream has that aren't ours; below zero, how many it lost.
        """
        ours = self._landed() if reply.landed else 0
        if self._again and self._again[0].mark == reply.last_id:  # it landed, its reply was lost
            ours += len(self._again[0].ids)
        self._again = self._ring.newer_than(reply.last_id)
        strangers = reply.position - self._position - ours
        self._position = reply.position
        self._ids.start_above(reply.last_id)
        # Somebody else's id may be above those that are already given to what is in flight.
        if self._batch.ids and id_pair(self._batch.ids[0]) <= id_pair(reply.last_id):
            stamped = [self._ids.stamp(id_us(each), 1)[0] for each in self._batch.ids]
            self._batch = replace(self._batch, ids=stamped)
        return strangers

    def _landed(self) -> int:
        """What was in flight is kept; says how many entries of the stream that makes."""
        batch, self._batch = self._batch, NOTHING
        refused = batch.refused
        for index, reason in refused.items():
            entry = batch.ids[index].decode()
            shown = {"entry": entry, "reason": reason, "message": repr(batch.messages[index][:80])}
            emit("dead_letter", group="bridge", **shown)
        self._ring.add(batch.kept)
        self._ages.observe_batch(batch.ids[::AGES_EVERY], len(batch.ids))
        self._counts["refused"] += len(refused)
        self._counts["appended"] += len(batch.ids) - len(refused)
        return len(batch.ids) - len(refused)

    async def _maintain(self) -> bool:
        """Once a second: trim, and keep the gaps that were said. False: there is news first."""
        now = asyncio.get_running_loop().time()
        if now - self._trimmed_at < TRIM_EVERY:
            return True
        reply = await self._script.trim(self._token, self._position, self._batch)
        if not self._holds(reply):
            return False
        self._trimmed_at = now
        self._counts["trimmed"] += reply.trimmed
        while self._gaps:
            await self._script.record_gap(*self._gaps[0])
            del self._gaps[0]
        return True
