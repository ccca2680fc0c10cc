"""config/postgres/replica.sh: it follows by a role of its own, and begins anew when it has to."""

from collections.abc import Iterator

import asyncpg
import pytest

from tests.api_process import owner_runs
from tests.embedded import Embedded
from tests.metric_rows import connected
from tests.servers import PostgresServer
from tests.waiting import wait_until

SLOT = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'replica'"
FOLLOWED_BY = "SELECT usename FROM pg_stat_replication"
MORE_LOG = ("SELECT pg_logical_emit_message(true, '', '')", "SELECT pg_switch_wal()", "CHECKPOINT")


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    server = Embedded().postgres()
    try:
        yield server
    finally:
        server.runner.close()


async def test_who_was_left_behind_copies_anew_and_its_role_may_read_no_row(
    primary: PostgresServer,
) -> None:
    replica = Embedded().replica(primary)
    await wait_until(lambda: _follows(primary))
    replica.runner.close()  # its data, too

    await owner_runs(primary, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    await owner_runs(primary, "SELECT pg_reload_conf()")

    async def is_lost() -> bool:
        for sql in MORE_LOG:
            await owner_runs(primary, sql)
        return bool(await owner_runs(primary, SLOT) == "lost")

    await wait_until(is_lost, 30.0, "the slot is lost")
    again = Embedded().replica(primary)
    try:
        assert await owner_runs(primary, SLOT) != "lost"
        await wait_until(lambda: _follows(primary))
    finally:
        again.runner.close()

    async with connected(primary.dsn("replica")) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("SELECT count(*) FROM public.stock_prices")


async def _follows(primary: PostgresServer) -> bool:
    return bool(await owner_runs(primary, FOLLOWED_BY) == "replica")
