"""keep_partitions_hourly(): the table's days, made and dropped while the writer runs."""

import asyncio

import asyncpg

from pipeline.events import emit
from pipeline.outage import pause
from pipeline.partitions import keep_partitions
from writer.store import AWAY, CONNECT_TIMEOUT, UNNAMED, reason

HOUR = 3600.0  # days are made three ahead, so many calls may fail
MINUTE = 60.0


async def keep_partitions_hourly(dsn: str, stop: asyncio.Event, every: float = HOUR) -> None:
    """Now, and again every hour, on a connection of its own: the flushes go on meanwhile."""
    while not stop.is_set():
        done = False
        try:
            done = await _keep_partitions(dsn)
        except AWAY as error:
            emit("partitions.failed", reason=reason(error))
        await pause(stop, every if done else min(every, MINUTE))


async def _keep_partitions(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT, statement_cache_size=UNNAMED)
    try:
        return await keep_partitions(connection)
    finally:
        connection.terminate()
