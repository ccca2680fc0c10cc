"""keep_partitions(): days of the table made ahead and dropped in time, and said."""

from typing import TYPE_CHECKING

from pipeline.events import emit

if TYPE_CHECKING:
    import asyncpg

LIMIT = 25.0  # seconds; it gives locks up after one, so this is for a server that is gone


async def keep_partitions(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """What is due now; nothing if somebody else is at it. What failed is due again next time."""
    kept = await connection.fetchrow("SELECT * FROM keep_partitions()", timeout=LIMIT)
    assert kept  # noqa: S101  # a function with OUT parameters always returns a row
    if kept["made"] or kept["dropped"]:
        emit("partitions.kept", made=kept["made"], dropped=kept["dropped"])
    if kept["problem"]:
        emit("partitions.failed", reason=kept["problem"])
