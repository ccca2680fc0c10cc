"""report_progress(): the metrics of a service, repeated, so that a lost log line loses nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from redis.exceptions import RedisError

from pipeline.events import STARTED_AT, emit, errors
from pipeline.outage import pause

EVERY = 5.0
ANSWER_LIMIT = 1.0  # seconds; what isn't known by then is left out

Metrics = Mapping[str, object]


async def report_progress(
    read: Callable[[], Metrics],
    stop: asyncio.Event,
    ask: Callable[[], Awaitable[Metrics]] | None = None,
    every: float = EVERY,
) -> None:
    """Emit what `read` returns now and then, and what `ask` learns from Redis, until `stop`.

    The last line is the caller's.
    """
    while not stop.is_set():
        await pause(stop, every)
        if not stop.is_set():
            asked = await answered(ask) if ask else {}
            emit_progress({**read(), **asked})


def emit_progress(metrics: Metrics) -> None:
    """A number or null, an object of numbers, or a list of labelled ones: each is a metric."""
    counted = [{"kind": kind, "value": count} for kind, count in sorted(errors.items())]
    emit("progress", **metrics, errors=counted, started_at=STARTED_AT)


async def answered(ask: Callable[[], Awaitable[Metrics]]) -> Metrics:
    """Nothing where Redis is away, slow, refuses or lacks what is asked: metrics can wait."""
    try:
        async with asyncio.timeout(ANSWER_LIMIT):
            return await ask()
    except (RedisError, OSError, LookupError):
        return {}
