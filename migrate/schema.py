"""The numbered SQL files beside this one, each applied once; which errors are an Outage."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from pipeline.events import emit
from pipeline.outage import Outage
from pipeline.partitions import keep_partitions

LOCK = 7_326_411  # any number, as long as it stays the same

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

# The first four were PostgreSQL's init scripts before there was this table.
_RECORDS = """
CREATE TABLE IF NOT EXISTS migrations (
    name       text        PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO migrations
SELECT name
FROM unnest(ARRAY['001_schema', '002_roles', '003_metrics', '004_dashboards']) AS name
WHERE to_regclass('stock_prices') IS NOT NULL AND NOT EXISTS (SELECT FROM migrations);
"""


async def migrate(dsn: str, passwords: Mapping[str, str], retention_days: int) -> None:
    """Bring the database to the newest schema, and its roles' passwords; safe to repeat."""
    with _absence():
        connection = await asyncpg.connect(dsn, timeout=5)
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", LOCK)  # ends with the session
            await connection.execute(_RECORDS)
            applied = {row["name"] for row in await connection.fetch("SELECT name FROM migrations")}
            for name, sql in steps().items():
                if name not in applied:
                    async with connection.transaction():
                        await connection.execute(sql)
                        await connection.execute("INSERT INTO migrations VALUES ($1)", name)
                    emit("migrate.applied", name=name)
            for role, password in passwords.items():
                await connection.execute("SELECT set_password($1, $2)", role, password)
            await connection.execute("UPDATE retention SET days = $1", retention_days)
            await keep_partitions(connection)
        finally:
            await connection.close(timeout=5)


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
