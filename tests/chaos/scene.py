"""Scene: what every fault has to do with, and how it waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from time import monotonic
from typing import Any

from redis.asyncio import Redis

from tests.chaos.stack import Stack

POLL_EVERY = 0.05
BACK_LIMIT = 60.0


@dataclass(frozen=True)
class Scene:
    """What a fault has to do with; what it finds wrong fails the run."""

    stack: Stack
    random: Random
    owner_dsn: str
    note: Callable[[str], None]

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Any]:
        """As the operator, by a connection that no earlier fault has broken."""
        async with Redis.from_url(self.stack.instance.redis_url("operator")) as redis:
            yield redis

    def one_of(self, name: str) -> str:
        """Of several bridges the one that the seed decides."""
        bridges = self.stack.bridges
        return self.random.choice(bridges) if name == "bridge" and len(bridges) > 1 else name

    async def some(self, seconds: tuple[float, float]) -> None:
        """A while that the seed decides."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), self.random.uniform(*seconds))

    async def is_back(self, name: str, starts: int) -> None:
        """It was started once more than so often, and answers."""
        member, answers = self.stack.members[name], partial(self.stack.answers, name)
        deadline = monotonic() + BACK_LIMIT
        while member.starts == starts or not await asyncio.to_thread(answers):
            if monotonic() > deadline:
                raise TimeoutError(f"{name} didn't come back within {BACK_LIMIT:g} s")
            await asyncio.sleep(POLL_EVERY)


Fault = Callable[[Scene], Awaitable[None]]
