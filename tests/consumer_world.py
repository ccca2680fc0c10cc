"""World: a stream, its consumers, and all that can befall them, one step at a time."""

import io
from collections.abc import Callable, Coroutine, Iterable
from contextlib import redirect_stdout
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import orjson

from bridge.script import Batch, StreamScript
from bridge.settings import BridgeSettings
from pipeline.lag import read_lag
from pipeline.outage import Outage
from pipeline.stream import Gathering, Rejected
from tests.consumer_books import BATCH, KILLER, REFUSED, Books, Life
from tests.consumer_view import View, grow_older, order, view
from tests.consuming import GROUP
from tests.looking import look
from tests.stepping import Call, SteppedLoop, settled

SCALE = 1000  # seconds of theirs; real time goes on meanwhile, and shall not matter
MOMENT = 0.5 * SCALE
LONG_ENOUGH = 400  # moments, for any mess to be cleared up
AT_A_TIME = 3  # commands in a moment; a reader of nothing would go on for ever
OTHER = "other"
AT_ONCE = Gathering(BATCH)
GATHERED = Gathering(BATCH, timedelta(seconds=1.5 * SCALE), timedelta(seconds=0.5 * SCALE))
NOTHING = Batch([], [], [])

T = TypeVar("T")


class World:
    """Everybody waits, and so does time, until a method here is called."""

    def __init__(self, url: str) -> None:
        self.url, self.stream = url, f"ticks-{uuid4().hex[:12]}"
        self.loop, self._output = SteppedLoop(), io.BytesIO()
        self.redis = look(url)
        self.late: list[tuple[Life, Call]] = []
        more = {"stream_groups": (GROUP, OTHER), "bridge_lease": timedelta(hours=1)}
        given = {"redis_url": url, "stream": self.stream} | more
        self._bridge = StreamScript(BridgeSettings.model_validate(given))
        self.books = Books(self.loop.run_until_complete(self._view()))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Until everybody waits again; what they said is noted."""
        with redirect_stdout(io.TextIOWrapper(self._output, write_through=True)) as text:
            result = self.loop.run_until_complete(self._run(coroutine))
            text.detach()
        for line in map(orjson.loads, self._output.getvalue().splitlines()):
            if line["event"] == "stream.entry_lost":
                self.books.lost.add(line["entry"].encode())
        self._output.seek(0)
        self._output.truncate()
        return result

    async def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        result = await coroutine
        await self._settled()
        return result

    async def _settled(self) -> None:
        await settled()
        for life in self.books.living_no_more():
            fault = None if life.task.cancelled() else life.task.exception()
            if fault and not life.faulty:
                raise fault

    async def _view(self) -> View:
        return await view(self.redis, self.stream)

    async def observe(self, actor: Life | None = None) -> None:
        self.books.observe(await self._view(), actor)

    # -- processes ------------------------------------------------------------------------------

    async def begin(self, name: str, gathering: Gathering) -> None:
        self.books.lives.append(Life(self.url, self.stream, name, gathering))

    async def serve(self, life: Life, call: Call, fate: str = "answered") -> None:
        """One command: a cut one may have been executed, or be executed later."""
        if fate == "late" and not call.executed:
            self.late.append((life, call))
        elif fate != "cut before" and not call.executed:
            await self.execute(life, call)
            self.books.delivered(life, call)
        if fate == "answered":
            call.answer()
        elif fate != "held":
            self.books.not_delivered(life, call)
            call.cut()
        await self._settled()

    async def execute(self, life: Life, call: Call) -> None:
        await life.client.execute(call)
        await self.observe(life)

    async def end_handling(self, life: Life, outcome: str) -> None:
        if not life.batch:
            return
        if outcome == "outage":
            life.say(Outage("neighbour", "away"))
        elif outcome == "bug":
            life.faulty = True
            life.say(ZeroDivisionError())
        elif any(message == KILLER for _, _, message in life.batch):
            await self.end_life(life, late=False)
        else:
            rejected = [Rejected(each, "refused") for each in life.batch if each[2] == REFUSED]
            self.books.takes_effect(life, [each.entry[0] for each in rejected])
            life.say(rejected)

    async def end_life(self, life: Life, *, late: bool) -> None:
        """Killed; what it had sent may arrive."""
        sent = life.kill()
        if late:
            self.late += [(life, call) for call in sent]
        await self._settled()
        assert life.ended

    async def pass_time(self, moments: int, absent: Iterable[Life] = ()) -> None:
        """All but those who are absent go on meanwhile, though not past their handlers."""
        for _ in range(moments):
            self.loop.now += MOMENT
            expired = await grow_older(self.redis, self.stream, MOMENT)
            self.books.time_passed(expired, self.loop.now)
            await self.observe()
            await self._settled()
            for life in self.books.living:
                if life not in absent:
                    await self._go_on_for_a_moment(life)

    async def _go_on_for_a_moment(self, life: Life) -> None:
        for _ in range(AT_A_TIME):
            for call in [*life.client.calls]:
                await self.serve(life, call)
                if call.found_nothing:
                    return

    async def go_on(self, life: Life, commands: int) -> None:
        """Up to the handler."""
        while commands and life.client.calls and not life.batch:
            await self.serve(life, life.client.calls[0])
            commands -= 1

    # -- Redis and its other users --------------------------------------------------------------

    async def add(self, entries: Iterable[bytes]) -> None:
        for entry in entries:
            message = self.books.entries[entry]
            fields = {"channel": "NYSE", "message": message}
            odd = {"foo": "bar"}
            await self.redis.xadd(self.stream, odd if message == b"odd" else fields, id=entry)
        await self.observe()

    async def vanish(self) -> None:
        """As in a restart of Redis that takes longer than heartbeats live."""
        self.books.heartbeats_vanish(self.loop.now)
        for name in self.books.view.alive:
            await self.redis.delete(f"{{{self.stream}}}:alive:{GROUP}:{name.decode()}")
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
        self.books.heartbeats_vanish(self.loop.now)
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
        taken = await self._bridge.take("token", NOTHING)
        await self._bridge.trim("token", taken.position, NOTHING)
        await self.observe()
        gone = set(before.ids) - set(self.books.view.ids)
        needed = {entry for entry in before.ids if before.is_to_come(entry)} | {*before.pending}
        assert not gone & needed, f"{GROUP} needs {gone & needed}"
        others = {*before.ids} if others is None else others
        assert not gone & others, f"{OTHER} needs {gone & others}"

    # -- the end --------------------------------------------------------------------------------

    async def recover(self) -> None:
        """All faults over, everything is settled, and whoever is dead is forgotten."""
        while self.late:
            await self.execute(*self.late.pop())
        await self._until(self._is_done)
        await self._until(self._is_known_who_lives)
        for life in self.books.living:
            life.stop.set()
            await self.go_on(life, LONG_ENOUGH)  # in no time: a stop has a limit
        await self._until(lambda: not self.books.living, stopping=True)
        assert not self.books.view.consumers
        assert not self.books.view.alive
        assert not (lost := self.books.unsettled()), lost
        assert (await read_lag(self.redis, self.stream, GROUP))["lag_entries"] == 0

    async def _until(self, condition: Callable[[], bool], *, stopping: bool = False) -> None:
        for _ in range(LONG_ENOUGH):
            if condition():
                return
            if not (self.books.living or stopping):
                await self.begin("last", AT_ONCE)
            await self.pass_time(1)
            for life in self.books.living:
                await self.end_handling(life, "done")
            await self._settled()
        raise AssertionError(f"never: {self.books.view}")

    def _is_done(self) -> bool:
        now = self.books.view
        to_come = now.delivered is None or any(now.is_to_come(entry) for entry in now.ids)
        return not to_come and not now.pending

    def _is_known_who_lives(self) -> bool:
        known = self.books.view
        return set() != self.books.names() == known.consumers == set(known.alive)

    def close(self) -> None:
        self.loop.run_until_complete(self._close())
        self.loop.close()

    async def _close(self) -> None:
        for life in self.books.lives:
            life.kill()
        await settled()
        for life in self.books.lives:
            await life.client.aclose()
        self._bridge.close()
        await self._forget()
        await self.redis.aclose()

    async def _forget(self) -> None:
        keys = await self.redis.keys(f"*{self.stream}*")
        if keys:
            await self.redis.delete(*keys)
