"""config/postgres/replica.sh: it follows by a role of its own, and begins anew when it has to."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.api_process import owner_runs
from tests.embedded import Embedded
from tests.metric_rows import connected
from tests.servers import PostgresServer
from tests.services import ROOT
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
    try:
        await wait_until(lambda: _follows(primary))
        await _remembers_another_login(primary, replica)
        await wait_until(lambda: _follows(primary))
    finally:
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


def test_data_that_were_promoted_are_not_started(tmp_path: Path) -> None:
    def starts() -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603  # our own script
            ["/bin/sh", str(ROOT / "config/postgres/replica.sh"), "/bin/echo", "started"],
            env={"PATH": "/usr/bin:/bin", "PGDATA": str(tmp_path), "PGHOST": "p", "PGUSER": "r"},
            capture_output=True,
            text=True,
            check=False,
        )

    (tmp_path / "PG_VERSION").write_text("18\n")
    refused = starts()
    assert refused.returncode == 1
    assert "is no replica's (promoted?)" in refused.stderr
    assert "started" not in refused.stdout
    (tmp_path / "standby.signal").touch()
    assert starts().stdout.startswith("started -c primary_conninfo=host=p user=r ")


async def _remembers_another_login(primary: PostgresServer, replica: PostgresServer) -> None:
    """As one that an earlier release made, which followed as the owner; started again."""
    await owner_runs(replica, "ALTER SYSTEM SET primary_conninfo = 'user=nobody'")
    replica.runner.kill()

    async def is_gone() -> bool:
        return not await _follows(primary)

    await wait_until(is_gone)
    replica.runner.start()


async def _follows(primary: PostgresServer) -> bool:
    return bool(await owner_runs(primary, FOLLOWED_BY) == "replica")
