"""keep_partitions(): days of the table made ahead and dropped in time, and said."""

from typing import TYPE_CHECKING

from pipeline.events import emit

if TYPE_CHECKING:
    import asyncpg

LIMIT = 600.0  # seconds; a day's strays move at 100,000 a second, locks are given up at once


async def keep_partitions(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """What is due now; nothing if somebody else is at it. False: something is due still."""
    made = dropped = 0
    problem = None
    while True:
        kept = await connection.fetchrow("SELECT * FROM keep_partitions()", timeout=LIMIT)
        assert kept  # noqa: S101  # a function with OUT parameters always returns a row
        made += kept["made"]
        dropped += kept["dropped"]
        problem = kept["problem"]
        if problem or not kept["made"]:
            break
    if made or dropped:
        emit("partitions.kept", made=made, dropped=dropped)
    if problem:
        emit("partitions.failed", reason=problem)
    return not problem
