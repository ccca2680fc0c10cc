"""Appender: the backlog into the tick stream, fenced by a lease and a position."""

import asyncio
from collections import deque
from functools import partial
from time import monotonic

from bridge.backlog import Backlog, Hole
from bridge.gaps import Gap, Gaps
from bridge.ids import id_us
from bridge.lease import Lease
from bridge.lineup import LineUp
from bridge.overrun import Overrun
from bridge.post import Post
from bridge.ring import Ring
from bridge.script import Batch, Reply, StreamScript
from bridge.settings import BridgeSettings
from bridge.subscription import Subscription
from pipeline.events import beat, emit
from pipeline.metrics import AGES_EVERY, Ages, Distribution
from pipeline.outage import Stopped, persist

TRIM_EVERY = 1.0
PACE = 0.001  # between two calls under load: fewer, larger calls for a millisecond of delay
TAIL = 1000  # entries of the stream to look for in the backlog


class Appender:
    """The one hand that writes to the stream, while it holds the lease."""

    def __init__(self, settings: BridgeSettings, backlog: Backlog) -> None:
        self._settings = settings
        self._backlog = backlog
        self._lease_s = settings.bridge_lease.total_seconds()
        post = Post(settings)
        self._script = StreamScript(settings, post)
        self._ring = Ring(settings.bridge_replay, settings.stream_max_entries, settings.together)
        self._overrun = Overrun(settings)
        self.line_up = LineUp(backlog, self._ring, self._say_landed)
        self.subscription = Subscription(settings, self.line_up, post)
        self._lease = Lease(settings, self._script, self.line_up, self.subscription)
        self._again: deque[Batch] = deque()  # of the ring: what the stream lost
        self._number = 0  # of calls that append
        self._called_at = self._trimmed_at = 0.0
        self._gaps = Gaps()
        counters = ("appended", "refused", "trimmed", "calls", "lease_changes")
        self._counts = dict.fromkeys(counters, 0)
        self._seconds = Distribution()  # of one call that appends
        self._ages = Ages()  # from receipt to the word that it is in the stream

    def metrics(self) -> dict[str, object]:
        """Cumulative, but for the quantiles: those are of the time since the last call."""
        backlog = self._backlog
        return {
            "received": backlog.received,
            **self._counts,
            **self._gaps.counts,
            "dropped": backlog.dropped,
            "overrun": self._overrun.metrics(),
            "waiting": backlog.length + len(self.line_up.in_flight.ids),
            "append_seconds": self._seconds.read(),
            "age_seconds": self._ages.read(),
        }

    @property
    def _in_hand(self) -> bool:
        return bool(self.line_up.in_flight.ids or self._again)

    @property
    def _done(self) -> bool:
        return self._backlog.closed and not self._backlog.length and not self._in_hand

    async def run(self, give_up: asyncio.Event) -> None:
        """Append until the backlog is closed and empty, or until `give_up`."""
        try:
            while not self._done and (taken := await self._lease.wait(give_up)):
                await persist(partial(self._begin, *taken), give_up)
                while self.line_up.token and not self._done:
                    await self._gather()
                    await persist(self._step, give_up)
                    await persist(self._check, give_up)
                    beat(self._settings.heartbeat_file)
            if self.line_up.token:
                await persist(partial(self._script.release, self.line_up.token), give_up)
        except Stopped:
            emit("outage", neighbour="redis", reason="stopped before all was appended")
        finally:
            self._script.close()

    async def _begin(self, reply: Reply, heard: bool) -> None:  # noqa: FBT001 - as the lease gave it
        """Go on from what the stream says; leave out what another bridge appended."""
        self._backlog.offer_holes()
        exact, discarded = self.line_up.take_over(reply, heard=heard), 0
        strangers = reply.position - self.line_up.position
        if not exact:
            discarded = await self._guess(reply)
            strangers = 0
        self._again = self._ring.newer_than(reply.last_id)
        self.line_up.position = reply.position
        self._counts["lease_changes"] += 1
        emit("lease.taken", position=reply.position, exact=exact, discarded=discarded)
        self._say_strangers(strangers or -sum(len(batch.ids) for batch in self._again))

    async def _guess(self, reply: Reply) -> int:
        """Find the stream's end among what is waiting."""
        subscription, waiting, torn = self.subscription, self._backlog.length, self._backlog.torn
        last_us, since_us = id_us(reply.last_id), subscription.since_us
        # Nothing was appended since: nothing of what is waiting can be in the stream.
        nothing = not torn and reply.position == subscription.position
        tail = [] if nothing else await self._script.tail(TAIL)
        discarded = self.line_up.guess(tail, reply.last_id)
        unheard = subscription.is_blind and not torn and not discarded and last_us < since_us
        if last_us and (nothing or unheard):
            # An id ahead of the clock can't say since when nobody listened: at least we didn't.
            from_us = last_us if last_us < since_us else subscription.without_us
            self._gaps.note(Gap(from_us, since_us, "start"), self.line_up.last)
        if waiting and last_us and not discarded and not nothing:
            emit("bridge.unaligned", waiting=waiting)
        return discarded

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
        self.line_up.compose()

    async def _step(self) -> None:
        """Append what the stream lost, then the batch in flight, or none, which renews the lease.

        Safe to repeat.
        """
        # Before the append, not after: only trimming makes room in a Redis that refuses it.
        if not await self._maintain():
            return
        began, state, line_up = monotonic(), self.subscription.state, self.line_up
        batch = self._again[0] if self._again else line_up.in_flight
        self._number += 1
        words = line_up.notice(self._number, batch)
        mark = line_up.in_flight.mark
        reply = await self._script.append(line_up.token, line_up.position, batch, mark, words)
        if reply.status == "OK":
            self._lease.note(reply.receivers, state)
        self._counts["calls"] += 1
        if batch.ids:  # else it only renewed the lease
            self._seconds.observe(monotonic() - began)
        if self._holds(reply):
            if self._again:
                self._again.popleft()
            else:
                line_up.landed()
            line_up.position = reply.position

    async def _check(self) -> None:
        """Give the lease to a bridge that hears more than we do, if there is one."""
        hole, line_up = self._backlog.hole, self.line_up
        if not line_up.token or self._in_hand:
            return
        if hole:
            if hole.from_us and self._lease.others > 0 and not hole.offered:
                await self._lease.give_up(line_up.token, "missed messages")
            elif hole.to_us or not hole.from_us:
                self._pass(hole)
        elif self.subscription.connected and self._lease.deaf(self._number):
            await self._lease.give_up(line_up.token, "deaf")

    def _pass(self, hole: Hole) -> None:
        """Nobody can fill it."""
        self._backlog.pass_hole()
        self.line_up.new_epoch()
        if hole.from_us:
            self._gaps.note(Gap(hole.from_us, hole.to_us, "reconnect"), self.line_up.last)

    def _holds(self, reply: Reply) -> bool:
        """Whether the stream was as expected and still ours; learns from the reply if not."""
        if reply.status == "FENCED":
            emit("lease.lost")
            self.line_up.fenced()
        elif reply.status == "MOVED":
            self._adopt(reply)
        return reply.status == "OK"

    def _adopt(self, reply: Reply) -> None:
        """Go on from the stream's own position; what it lost goes again."""
        if reply.landed:
            self.line_up.landed()
        if self._again and self._again[0].mark == reply.last_id:  # it landed, its reply was lost
            self.line_up.position += len(self._again[0].ids)
        strangers = reply.position - self.line_up.position
        if strangers < 0 and self._lease.others > 0 and self.line_up.lacks(reply.last_id):
            emit("lease.yielded", reason="another bridge may have what the stream lost")
            self.line_up.fenced()
            return
        self._again = self._ring.newer_than(reply.last_id)
        self.line_up.position = reply.position
        self.line_up.rise_above(reply.last_id)
        self._say_strangers(strangers)

    def _say_strangers(self, entries: int) -> None:
        """How many entries the stream has that aren't ours; below zero, how many it lost."""
        if entries > 0:
            emit("stream.foreign", entries=entries)
            self.line_up.new_epoch()
        elif entries < 0:
            again = sum(len(batch.ids) for batch in self._again)
            emit("stream.behind", entries=-entries, appended_again=again)

    def _say_landed(self, batch: Batch) -> None:
        refused = batch.refused
        for index, reason in refused.items():
            entry = batch.ids[index].decode()
            shown = {"entry": entry, "reason": reason, "message": repr(batch.messages[index][:80])}
            emit("dead_letter", group="bridge", **shown)
        count = len(batch.ids)
        self._ages.observe_batch([batch.ids[n] for n in range(0, count, AGES_EVERY)], count)
        self._counts["refused"] += len(refused)
        self._counts["appended"] += len(batch.ids) - len(refused)

    async def _maintain(self) -> bool:
        """Once a second: trim, and keep the gaps that were said. False: there is news first."""
        now = asyncio.get_running_loop().time()
        if now - self._trimmed_at < TRIM_EVERY:
            return True
        line_up, more = self.line_up, True
        mark = line_up.in_flight.mark
        try:
            while more:
                reply = await self._script.trim(line_up.token, line_up.position, mark)
                if not self._holds(reply):
                    return False
                self._counts["trimmed"] += reply.trimmed
                self._overrun.note(reply.cut)
                more = reply.more
        finally:
            self._overrun.say()
        self._trimmed_at = now
        await self._gaps.keep(self._script)
        return True
