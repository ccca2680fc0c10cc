"""Outage, Stopped, say(), persist(): the one way to wait for a neighbour that is away."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import TypeVar

from pipeline.events import emit

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0  # short enough that a service is back within seconds of its neighbour

T = TypeVar("T")


class Outage(Exception):
    """A neighbour can't do its part now: the same work again later, in the same order."""

    def __init__(self, neighbour: str, reason: str) -> None:
        super().__init__(f"{neighbour}: {reason}")
        self.neighbour = neighbour
        self.reason = reason


class Stopped(Exception):
    """The service was asked to stop while it waited."""


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not past a stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def say(outage: Outage, lasted_s: float, again_in_s: float) -> None:
    """Log what a neighbour can't do, since when, and when it is tried again."""
    emit(
        "outage",
        neighbour=outage.neighbour,
        reason=outage.reason,
        lasted_s=round(lasted_s, 3),
        again_in_s=again_in_s,
    )


async def persist(attempt: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T:
    """Repeat `attempt` through every Outage, each pause announced and twice as long as the last.

    Raises Stopped when asked to stop between two attempts; a running attempt is never cancelled.
    """
    wait, began = FIRST_PAUSE, monotonic()
    while True:
        try:
            result = await attempt()
        except Outage as outage:
            if stop.is_set():
                raise Stopped from outage
            say(outage, monotonic() - began, wait)
        else:
            if wait > FIRST_PAUSE:
                emit("outage.over", lasted_s=round(monotonic() - began, 3))
            return result
        await pause(stop, wait)
        if stop.is_set():
            raise Stopped
        wait = min(wait * 2, LONGEST_PAUSE)
