"""TickStore: a batch into `stock_prices`, each tick once; which errors are an Outage."""

from collections.abc import Sequence
from time import monotonic
from types import TracebackType
from typing import Self

import asyncpg
from pydantic import PostgresDsn

from pipeline.events import emit
from pipeline.metrics import Distribution
from pipeline.outage import Outage
from pipeline.stream import Entry, Rejected
from pipeline.ticks import sift
from writer.rows import COLUMNS, Row, rows_of, take_rows

TABLE = "stock_prices"
CONNECT_TIMEOUT = 5.0
COMMAND_TIMEOUT = 12.0  # a batch takes a second or two; what answers no more is to be noticed
# A statement that has a name stays with the server's session, and behind PgBouncer in transaction
# mode the next transaction may be in another one. Without, a flush parses one short query more.
UNNAMED = 0
ROW_FAULTS = ("22", "23")  # SQLSTATE classes: data exception, integrity constraint violation
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was lost between two steps of a COPY
    asyncpg.PostgresError,
)

_STAGE = "CREATE TEMPORARY TABLE staged (LIKE stock_prices) ON COMMIT DROP"
_MERGE = """
INSERT INTO stock_prices (timestamp, stock_name, exchange_name, price, event_id)
SELECT timestamp, stock_name, exchange_name, price, event_id FROM staged
ON CONFLICT DO NOTHING
"""


class TickStore:
    """One connection to PostgreSQL, opened when needed and again after it broke."""

    def __init__(self, dsn: PostgresDsn) -> None:
        self._dsn = str(dsn)
        self._connection: asyncpg.Connection | None = None
        self._counts = {"rows": 0, "repeated": 0}
        self._seconds, self._rows = Distribution(), Distribution()  # of one flush

    def metrics(self) -> dict[str, object]:
        """Cumulative, but for the quantiles: those are of the time since the last call.

        Rows whose commit was done and not confirmed are found by the repeat, and count as such.
        """
        flushes = {"copy_seconds": self._seconds.read(), "flush_rows": self._rows.read()}
        return {**self._counts, **flushes}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def save(self, entries: Sequence[Entry]) -> list[Rejected]:
        """Store what can be stored, committed when this returns; safe to repeat. Raises Outage."""
        ticks, rejected = sift(entries)
        rows = rows_of(ticks)
        began = monotonic()
        try:
            refused = await self._store(rows)
        except AWAY as error:
            await self._close()
            raise Outage("postgres", reason(error)) from error
        if refused and len(refused) == len(rows) > 1:
            # No market sends a batch of nothing but bad rows: a grant or a trigger is wrong.
            raise Outage("postgres", f"every row was refused: {refused[0]}")
        if rows:
            self._seconds.observe(monotonic() - began)
            self._rows.observe(len(rows) - len(refused))
        return rejected + [Rejected(ticks.entries[index], why) for index, why in refused.items()]

    async def _store(self, rows: Sequence[Row], begin: int = 0) -> dict[int, str]:
        """Store the rows; what PostgreSQL refuses is found by halving. Index → reason."""
        try:
            await self._copy(rows)
        except asyncpg.PostgresError as error:
            if not _is_a_rows_fault(error):
                raise
            if len(rows) == 1:
                return {begin: reason(error)}
            middle = len(rows) // 2
            return await self._store(rows[:middle], begin) | await self._store(
                rows[middle:], begin + middle
            )
        return {}

    async def _copy(self, rows: Sequence[Row]) -> None:
        """Straight in; through a temporary table when the table has some of them already."""
        if not rows:
            return
        connection = await self._connected()
        try:
            await connection.copy_records_to_table(TABLE, records=rows, columns=COLUMNS)
        except asyncpg.UniqueViolationError:
            async with connection.transaction():
                await connection.execute(_STAGE)
                await connection.copy_records_to_table("staged", records=rows, columns=COLUMNS)
                stored = int((await connection.execute(_MERGE)).split()[-1])
            emit("writer.redelivered", rows=len(rows), there_already=len(rows) - stored)
            self._counts["rows"] += stored
            self._counts["repeated"] += len(rows) - stored
        else:
            self._counts["rows"] += len(rows)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_TIMEOUT,
                command_timeout=COMMAND_TIMEOUT,
                statement_cache_size=UNNAMED,
            )
            await take_rows(self._connection)
        return self._connection

    async def _close(self) -> None:
        if self._connection:
            self._connection.terminate()
            self._connection = None


def _is_a_rows_fault(error: asyncpg.PostgresError) -> bool:
    if isinstance(error, asyncpg.CheckViolationError) and not error.constraint_name:
        # A partition's bounds: the row's day was made while the row waited for the default one.
        return False
    return (error.sqlstate or "").startswith(ROW_FAULTS)


def reason(error: Exception) -> str:
    """What PostgreSQL said, and its code for it."""
    text = str(error) or type(error).__name__
    state = getattr(error, "sqlstate", None)
    return f"{text} ({state})" if state else text
