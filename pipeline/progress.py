"""report_progress(): cumulative counters, repeated, so that a lost log line loses nothing."""

import asyncio
from collections.abc import Callable, Mapping

from pipeline.events import emit
from pipeline.outage import pause

EVERY = 5.0


async def report_progress(
    read: Callable[[], Mapping[str, object]], stop: asyncio.Event, every: float = EVERY
) -> None:
    """Emit what `read` returns now and then, until `stop`; the last line is the caller's."""
    while not stop.is_set():
        await pause(stop, every)
        if not stop.is_set():
            emit("progress", **read())
