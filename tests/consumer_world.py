"""World: a stream, its consumers, and all that can befall them, one step at a time."""

import io
from collections.abc import Callable, Coroutine, Iterable
from contextlib import redirect_stdout
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import orjson

from pipeline.lag import read_lag
from pipeline.outage import Outage
from pipeline.stream import Gathering, Rejected
from tests.consumer_books import BATCH, KILLER, REFUSED, Life
from tests.consumer_neighbours import Neighbours
from tests.consuming import GROUP
from tests.stepping import Call, SteppedLoop, settled

SCALE = 1000  # seconds of theirs; real time goes on meanwhile, and shall not matter
LONG_ENOUGH = 300  # seconds, for any mess to be cleared up
AT_A_TIME = 3  # commands in a second; a reader of nothing would go on for ever
AT_ONCE = Gathering(BATCH)
GATHERED = Gathering(BATCH, timedelta(seconds=1.5 * SCALE), timedelta(seconds=0.5 * SCALE))
AHEAD = GATHERED._replace(ahead=True)

T = TypeVar("T")


class World:
    """Everybody waits, and so does time, until a method here is called."""

    def __init__(self, url: str) -> None:
        self._url, self._stream = url, f"ticks-{uuid4().hex[:12]}"
        self.loop, self._output = SteppedLoop(), io.BytesIO()
        self.neighbours = Neighbours(self.loop, url, self._stream)
        self.books = self.neighbours.books
        self._sent: list[tuple[Life, Call]] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Until everybody waits again."""
        with redirect_stdout(io.TextIOWrapper(self._output, write_through=True)) as text:
            result = self.loop.run_until_complete(self._run(coroutine))
            text.detach()
        return result

    async def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        result = await coroutine
        await self._settled()
        return result

    async def _settled(self) -> None:
        await settled()
        for line in map(orjson.loads, self._output.getvalue().splitlines()):
            if line["event"] == "stream.entry_lost":
                self.books.lost.add(line["entry"].encode())
        self._output.seek(0)
        self._output.truncate()
        for life in self.books.living_no_more():
            fault = None if life.task.cancelled() else life.task.exception()
            if fault and not life.faulty:
                raise fault

    # -- processes ------------------------------------------------------------------------------

    async def begin(self, name: str, gathering: Gathering) -> None:
        self.books.lives.append(Life(self._url, self._stream, name, gathering))

    async def serve(self, life: Life, call: Call, fate: str = "answered") -> None:
        """One command: a cut one may have been executed, or be executed later."""
        if fate == "late" and not call.executed:
            self._sent.append((life, call))
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
        self.books.lost.update(call.lost)
        await self.neighbours.observe(life)

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
            self._sent += [(life, call) for call in sent]
        await self._settled()
        assert life.ended

    async def pass_time(self, seconds: int, present: Iterable[Life]) -> None:
        """Those who are present go on meanwhile, though not past their handlers."""
        for _ in range(seconds):
            await self.neighbours.pass_time(SCALE)
            await self._settled()
            for life in [*present]:
                await self._go_on_for_a_second(life)

    async def _go_on_for_a_second(self, life: Life) -> None:
        for _ in range(AT_A_TIME):
            for call in [*life.client.calls]:
                await self.serve(life, call)
                if call.found_nothing and not life.stop.is_set():
                    return

    async def go_on(self, life: Life, commands: int) -> None:
        """Up to the handler."""
        while commands and life.client.calls and not life.batch:
            await self.serve(life, life.client.calls[0])
            commands -= 1

    async def late(self) -> None:
        """What an old connection still had."""
        if self._sent:
            await self.execute(*self._sent.pop(0))

    # -- the end --------------------------------------------------------------------------------

    async def recover(self) -> None:
        """All faults over, everything is settled, and whoever is dead is forgotten."""
        while self._sent:
            await self.late()
        await self.pass_time(2, self.books.living)  # a beat that isn't answered yet can't be undone
        await self._until(self._is_done)
        await self._until(self._is_known_who_lives)
        for life in self.books.living:
            life.stop.set()
            await self.go_on(life, LONG_ENOUGH)  # in no time: a stop has a limit
        await self._until(lambda: not self.books.living, stopping=True)
        assert not self.books.view.consumers
        assert not self.books.view.alive
        assert not (lost := self.books.unsettled()), lost
        assert (await read_lag(self.neighbours.redis, self._stream, GROUP))["lag_entries"] == 0

    async def _until(self, condition: Callable[[], bool], *, stopping: bool = False) -> None:
        for _ in range(LONG_ENOUGH):
            if condition():
                return
            if not (self.books.living or stopping):
                await self.begin("last", AT_ONCE)
            await self.pass_time(1, self.books.living)
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
        await self.neighbours.close()
