"""The numbered SQL files beside this one, each applied once; which errors are an Outage."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import asyncpg

from pipeline.events import emit
from pipeline.outage import Outage
from pipeline.partitions import keep_partitions

# PostgreSQL isn't up, or somebody is using what we change. A file that failed left nothing behind.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it is starting, or stopping
    asyncpg.InsufficientResourcesError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"  # generic for the type checker only

_RECORDS = """
CREATE TABLE IF NOT EXISTS migrations (
    name       text        PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
# The first four were PostgreSQL's init scripts before there was this table, of an older release the
# first two.
_EARLIER = """
INSERT INTO migrations
SELECT name
FROM (VALUES
    ('001_schema', to_regclass('stock_prices') IS NOT NULL),
    ('002_roles', to_regclass('stock_prices') IS NOT NULL),
    ('003_metrics', to_regclass('pipeline_metrics') IS NOT NULL),
    ('004_dashboards', to_regproc('stock_names') IS NOT NULL)
) AS step (name, made)
WHERE made AND NOT EXISTS (SELECT FROM migrations)
"""
# One after the other; an advisory lock could be held by anybody who may log in.
_TURN = "LOCK TABLE migrations IN ACCESS EXCLUSIVE MODE"


async def migrate(dsn: str, passwords: Mapping[str, str | None], retention_days: int) -> None:
    """Bring the database to the newest schema, and its roles' passwords; safe to repeat."""
    with _absence():
        connection = await asyncpg.connect(dsn, timeout=5)
        try:
            await _begin(connection)
            for name, sql in steps().items():
                if await _apply(connection, name, sql):
                    emit("migrate.applied", name=name)
            async with connection.transaction():
                await connection.execute(_TURN)
                for role, password in passwords.items():
                    await connection.execute("SELECT set_password($1, $2)", role, password)
                await connection.execute("UPDATE retention SET days = $1", retention_days)
            await _keep_partitions(connection)
        finally:
            await connection.close(timeout=5)


async def _begin(connection: Connection) -> None:
    # Two at once: IF NOT EXISTS looks before the other's table is there.
    with suppress(asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError):
        await connection.execute(_RECORDS)
    async with connection.transaction():
        await connection.execute(_TURN)
        await connection.execute(_EARLIER)


async def _apply(connection: Connection, name: str, sql: str) -> bool:
    async with connection.transaction():
        await connection.execute(_TURN)
        if await connection.fetchval("SELECT true FROM migrations WHERE name = $1", name):
            return False
        await connection.execute(sql)
        await connection.execute("INSERT INTO migrations VALUES ($1)", name)
    return True


async def _keep_partitions(connection: Connection) -> None:
    """The schema is there, so others may start: what fails here the writer tries again."""
    try:
        await keep_partitions(connection)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        emit("partitions.failed", reason=str(error) or type(error).__name__)


def steps() -> dict[str, str]:
    """Name → SQL, in the order of their numbers."""
    files = sorted(Path(__file__).parent.glob("[0-9][0-9][0-9]_*.sql"))
    return {file.stem: file.read_text() for file in files}


@contextmanager
def _absence() -> Iterator[None]:
    try:
        yield
    except AWAY as error:
        raise Outage("postgres", str(error) or type(error).__name__) from error
