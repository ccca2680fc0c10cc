"""Lease: which bridge appends, and how it passes from one to the next."""

import asyncio
from contextlib import suppress
from itertools import count
from secrets import token_hex
from time import monotonic

from bridge.control import Marker
from bridge.lineup import LineUp
from bridge.script import Reply, StreamScript
from bridge.settings import BridgeSettings
from bridge.subscription import Subscription
from pipeline.events import beat, emit
from pipeline.outage import Stopped, pause, persist

HEARD_LIMIT = 1.0  # after which what we told should have come back to us
YIELD_TIME = 2.0  # in which others may take what we gave up
PATIENCE = 3.0  # in which one who knows more may take the lease
LONGEST_POLL = 0.5  # a stop waits for it


class Lease:
    """Follows whoever has it; takes it when nobody has, and nobody knows more."""

    def __init__(
        self,
        settings: BridgeSettings,
        script: StreamScript,
        line_up: LineUp,
        subscription: Subscription,
    ) -> None:
        self._settings = settings
        self._lease_s = settings.bridge_lease.total_seconds()
        self._poll_s = min(self._lease_s / 4, LONGEST_POLL)
        self._script = script
        self._line_up = line_up
        self._subscription = subscription
        self._name = token_hex(8).encode()
        self._numbers = count(1)
        self._free_since: float | None = None
        self._not_before = 0.0
        self._connection = 0  # on which somebody was last heard who has the lease
        self._opened = self._notices = 0  # the newest connection; what was heard before it
        self._was_ours = False
        self._probe: tuple[int, float] | None = None  # a notice, and when it was told
        self.others = 1  # bridges that listen, beside this one; until it is known, somebody may

    async def wait(self, give_up: asyncio.Event) -> tuple[Reply, bool] | None:
        """The stream as it is when the lease is ours, and whether we heard all before.

        None: we are to stop, and another bridge has what we have.
        """
        self._free_since, held, lined_up = None, False, False
        position = self._line_up.position
        while True:
            reply = await persist(self._look, give_up)
            held_now = reply.status in {"HELD", "APART"}
            if held_now:
                self._free_since = None
                self._note_holder()
                # Without an append it may be our own token, of a take that was cut off.
                self._was_ours &= reply.position <= position
                if reply.status == "APART":
                    self._subscription.go_elsewhere()
                if not held:
                    emit("lease.held", position=reply.position)
                held = True
            elif self._may_take(reply) and (taken := await persist(self._take, give_up)):
                return taken
            if self._line_up.aligned and held and not lined_up:
                lined_up = True
                emit("bridge.lined_up", position=self._line_up.position)
            if self._line_up.backlog.closed and (held_now or self.others > 0):
                return None
            await pause(give_up, self._poll_s)
            beat(self._settings.heartbeat_file)
            if give_up.is_set():
                raise Stopped

    def _note_holder(self) -> None:
        """A lease can outlive its holder, on a new master: who has it is heard, or isn't there."""
        if self._script.opened != self._opened:
            self._opened, self._notices = self._script.opened, self._line_up.notices
        elif self._line_up.notices > self._notices:
            self._connection = self._opened

    async def give_up(self, token: bytes, reason: str) -> None:
        """Let somebody else have it for a while."""
        await self._script.release(token)
        self._line_up.fenced()
        self._not_before = monotonic() + YIELD_TIME
        emit("lease.yielded", reason=reason)

    def note(self, receivers: int, state: tuple[bool | None, int]) -> None:
        """Learn how many listen beside us; `state` is the subscription's before we told it."""
        connected, _ = state
        if connected is not None and state == self._subscription.state:
            self.others = receivers - connected

    def deaf(self, number: int) -> bool:
        """Whether what we told is not heard by us, but by others; `number` is the newest.

        Where words come from another node, they may be late, and `Echo` says if they are too late.
        """
        if self._settings.follows:
            return False
        if self._probe and self._line_up.heard < self._probe[0]:
            return self.others > 0 and monotonic() - self._probe[1] > HEARD_LIMIT
        self._probe = (number, monotonic())
        return False

    async def _look(self) -> Reply:
        if self._line_up.whole and self._free_since is None:
            return await self._script.look(None)
        marker = Marker(b"%s:%d" % (self._name, next(self._numbers)))
        state = self._subscription.state
        reply = await self._script.look(marker)
        self.note(reply.receivers, state)
        return reply

    def _may_take(self, reply: Reply) -> bool:
        now = monotonic()
        if now < self._not_before:
            return False
        if self._free_since is None:
            self._free_since = now
        if self._may_be_new(reply):
            # Whoever had the lease knows best; then who has followed; then who has just come.
            longest = PATIENCE if self._line_up.aligned else 2 * PATIENCE
            return now - self._free_since >= longest
        if self._line_up.has_all(reply.last_id):
            return True
        return self.others <= 0 or now - self._free_since >= PATIENCE

    def _may_be_new(self, reply: Reply) -> bool:
        """The master, in place of one that had more: then nobody has heard the last of that one.

        Others were there, and can't have said a word while there was none.
        """
        opened_since = self._script.opened != self._connection
        stops = self._line_up.backlog.closed  # and can't wait
        return reply.status == "LATELY" and opened_since and not self._was_ours and not stops

    async def _take(self) -> tuple[Reply, bool] | None:
        line_up, connected = self._line_up, self._subscription.connected
        if connected is None:
            return None
        line_up.token, line_up.heard, self._probe = token_hex(8).encode(), 0, None
        line_up.confirmed.clear()
        reply = await self._script.take(line_up.token, line_up.doubt)
        if reply.status != "OK":
            line_up.token = b""
            return None
        # On its way from another node a word may be late, or lost: who heard this one may lack one.
        words_tell = not self._settings.follows
        caught_up = not connected
        if connected:
            # With nobody else there we go on deaf too: before the lease ends.
            limit = HEARD_LIMIT if reply.receivers > 1 else min(HEARD_LIMIT, self._lease_s / 2)
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    caught_up = await self._subscription.catch_up()
                    if words_tell:
                        await line_up.confirmed.wait()
        heard = words_tell and line_up.confirmed.is_set()
        deaf = words_tell and not heard and reply.receivers > connected
        # Of what is still on its way to us, another one may have appended some.
        if deaf or (not caught_up and line_up.behind(reply)):
            await self.give_up(line_up.token, "deaf")
            return None
        self._connection, self._was_ours = self._script.opened, True
        return reply, heard
