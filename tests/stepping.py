"""Stepping: a loop whose clock, and a Redis client whose commands, wait for the test's word."""

import asyncio
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Cut
from redis.exceptions import ResponseError

ROUNDS = 10  # of the loop, after which whoever was woken waits again


class SteppedLoop(asyncio.SelectorEventLoop):
    """Sockets are real, time isn't: timers fire when `now` has been moved past them."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Call:
    """A command on its way: executed or not yet, answered or not yet."""

    def __init__(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.arguments, self.options = arguments, options
        self.executed = False
        self._outcome: Any = None
        self._answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def answered(self) -> Any:
        return await self._answer

    def executed_as(self, outcome: Any) -> None:
        self.executed, self._outcome = True, outcome

    @property
    def entries(self) -> list[bytes]:
        """The ids that a read has delivered."""
        read = self.arguments[0] == "XREADGROUP" and isinstance(self._outcome, list)
        return [entry[0] for entry in self._outcome[0][1]] if read else []

    @property
    def lost(self) -> list[bytes]:
        """The ids that a claim has let go, for want of a body: said once, and the reply is cut."""
        claim = self.arguments[0] == "EVAL" and isinstance(self._outcome, list)
        return list(self._outcome[3]) if claim else []

    @property
    def found_nothing(self) -> bool:
        return self.arguments[0] == "XREADGROUP" and self._outcome is None

    def answer(self) -> None:
        self._end(self._outcome)

    def cut(self) -> None:
        """Whoever asked doesn't learn what became of it."""
        self._end(Cut("cut off"))

    def _end(self, outcome: Any) -> None:
        if self._answer.done():  # nobody waits any more
            return
        if isinstance(outcome, Exception):
            self._answer.set_exception(outcome)
        else:
            self._answer.set_result(outcome)


class SteppedRedis(Redis):
    """Every command waits in `calls`, until the test has it executed and answered."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.calls: list[Call] = []
        self.dead = False

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        if self.dead:
            raise asyncio.CancelledError  # of a process that was killed, nothing goes out
        call = Call(arguments, options)
        self.calls.append(call)
        try:
            return await call.answered()
        finally:
            self.calls.remove(call)

    async def execute(self, call: Call) -> None:
        try:
            execute = cast("Any", super().execute_command)  # redis-py types most of itself
            outcome = await execute(*_at_once(call.arguments), **call.options)
        except ResponseError as error:
            outcome = error
        call.executed_as(outcome)


def stepped(url: str) -> SteppedRedis:
    return cast("SteppedRedis", SteppedRedis.from_url(url, protocol=2))


def _at_once(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Nobody else would do anything while it blocks."""
    if "BLOCK" not in arguments:
        return arguments
    place = arguments.index("BLOCK")
    return arguments[:place] + arguments[place + 2 :]


async def settled() -> None:
    """Everybody has gone as far as he can without the test's word."""
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
