"""wait_until(): how tests wait, for a condition and never for a fixed time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar, overload

import pytest

POLL_EVERY = 0.02

T = TypeVar("T")


@overload
async def wait_until(
    predicate: Callable[[], Awaitable[T | None]], limit: float = ..., what: str | None = ...
) -> T: ...


@overload
async def wait_until(
    predicate: Callable[[], T | None], limit: float = ..., what: str | None = ...
) -> T: ...


async def wait_until(
    predicate: Callable[[], T | Awaitable[T | None] | None],
    limit: float = 10.0,
    what: str | None = None,
) -> T:
    """The predicate's first true value; fails after `limit` seconds, naming what it waited for."""
    deadline = monotonic() + limit
    while True:
        outcome = predicate()
        value = await outcome if isinstance(outcome, Awaitable) else outcome
        if value:
            return value
        if monotonic() > deadline:
            pytest.fail(f"after {limit:g} s still {value!r}: {what or _source(predicate)}")
        await asyncio.sleep(POLL_EVERY)


def _source(predicate: Callable[[], object]) -> str:
    try:
        return inspect.getsource(predicate).strip()
    except (OSError, TypeError):
        return repr(predicate)
