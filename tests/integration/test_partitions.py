"""The days of stock_prices: made ahead, strays moved, dropped in time, whoever else is there."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

import asyncpg
import pytest
from pydantic import PostgresDsn
from redis.asyncio import Redis

from pipeline.outage import Outage
from tests.candles import candles
from tests.consumers import start_writer
from tests.databases import new_database
from tests.servers import PostgresServer
from tests.services import StartService
from tests.ticks import all_settled, append, entries, numbered
from tests.waiting import wait_until
from writer.store import TickStore

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
NOW = datetime.now(UTC)
KEEP = "SELECT made, dropped, problem FROM keep_partitions()"
NOTHING = (0, 0, None)
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
COUNTED = """
SELECT relname, (SELECT count(*) FROM stock_prices WHERE tableoid = inhrelid)
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'stock_prices'::regclass
"""


@dataclass(frozen=True)
class Table:
    """A database of this release, and two who work in it."""

    server: PostgresServer
    owner: Connection
    writer: Connection


@pytest.fixture
async def table(shared_postgres: PostgresServer) -> AsyncIterator[Table]:
    async with new_database(shared_postgres) as server:
        owner = await asyncpg.connect(server.owner_dsn)
        writer = await asyncpg.connect(server.dsn("writer"))
        yield Table(server, owner, writer)
        await owner.close()
        await writer.close()


def day(ahead: int) -> str:
    return f"stock_prices_{NOW + timedelta(days=ahead):%Y%m%d}"


async def store(connection: Connection, *days: int) -> None:
    records = [
        (NOW + timedelta(days=ahead), "TSLA", "NYSE", Decimal(1), number)
        for number, ahead in enumerate(days)
    ]
    await connection.copy_records_to_table("stock_prices", records=records)


async def rows(connection: Connection) -> dict[str, int]:
    """Partition → its rows."""
    found = dict(map(tuple, await connection.fetch(COUNTED)))
    return {name.replace("stock_prices_default", "default"): n for name, n in found.items()}


async def keep(connection: Connection) -> tuple[object, ...]:
    return tuple(await connection.fetchrow(KEEP) or ())


async def keep_all(connection: Connection) -> tuple[int, int]:
    """As the writer does it: until nothing is made. What was made, what was dropped."""
    made = dropped = 0
    while True:
        kept = await connection.fetchrow(KEEP)
        assert kept
        assert kept["problem"] is None
        made += kept["made"]
        dropped += kept["dropped"]
        if not kept["made"]:
            return made, dropped


async def test_strays_move_into_their_day_once_it_is_made(table: Table) -> None:
    await store(table.writer, 0, -1, -1, 10)
    ahead = {day(0): 1, day(1): 0, day(2): 0, day(3): 0}
    assert await rows(table.owner) == ahead | {"default": 3}
    before = await candles(table.owner)

    assert await keep(table.writer) == (1, 0, None)
    assert await rows(table.owner) == ahead | {day(-1): 2, "default": 1}
    assert await keep(table.writer) == NOTHING
    made = "SELECT make_partitions(current_date + 3, current_date + 10)"
    assert await table.owner.fetchval(made) == 7
    assert (await rows(table.owner))[day(10)] == 1
    assert (await rows(table.owner))["default"] == 0
    assert await candles(table.owner) == before


async def test_days_that_are_too_old_go_whole_and_their_candles_stay(table: Table) -> None:
    await store(table.writer, -4, -3, -2, -1)
    assert await keep_all(table.writer) == (4, 0)
    await table.owner.execute("UPDATE retention SET days = 2")
    await store(table.writer, -10)
    assert await keep_all(table.writer) == (1, 2)  # counted from the newest tick, of yesterday
    await store(table.writer, 0)
    assert await keep_all(table.writer) == (0, 1)
    assert await rows(table.owner) == {day(n): int(n <= 0) for n in range(-2, 4)} | {"default": 0}
    assert len(await candles(table.owner)) == 6 * 2  # of a minute and of an hour


async def test_a_clock_that_jumps_ahead_costs_two_days_a_call_and_not_all(table: Table) -> None:
    await store(table.writer, *range(-30, 0))
    assert await keep_all(table.writer) == (30, 0)
    await store(table.owner, 400)  # of that clock; PostgreSQL's own can't be moved here
    await table.owner.execute("UPDATE retention SET days = 1")
    assert await keep_all(table.writer) == (0, 2)
    assert await table.owner.fetchval("SELECT drop_old_partitions()") == 27


async def test_who_reads_while_strays_move_finds_them_all(table: Table) -> None:
    await store(table.writer, *[5] * 1000)
    begin, end = NOW + timedelta(days=4), NOW + timedelta(days=6)
    question = "SELECT count(*) FROM stock_prices WHERE timestamp >= $1 AND timestamp < $2"
    async with table.owner.transaction():
        await table.owner.execute("SELECT make_partition(current_date + 5)")
        counted = asyncio.ensure_future(table.writer.fetchval(question, begin, end))
        await wait_until(lambda: waiting(table.owner))
    assert await counted == 1000
    assert (await rows(table.owner))[day(5)] == 1000


async def test_a_table_of_a_days_name_is_a_problem_to_tell(table: Table) -> None:
    await table.owner.execute(f"DROP TABLE {day(3)}; CREATE TABLE {day(3)} (a int)")
    made, _, problem = await keep(table.writer)
    assert made == 0
    assert "already exists" in str(problem)


async def test_of_two_at_once_one_does_it(table: Table) -> None:
    await store(table.owner, *range(-20, 0))

    async def call() -> tuple[int, int]:
        connection = await asyncpg.connect(table.server.dsn("writer"))
        try:
            return await keep_all(connection)
        finally:
            await connection.close()

    done = await asyncio.gather(*(call() for _ in range(4)))
    assert sum(made for made, _ in done) == 20
    assert (await rows(table.owner))["default"] == 0


async def test_a_reader_in_the_way_is_a_problem_to_tell_and_stops_no_insert(table: Table) -> None:
    await store(table.writer, -1, 0)
    other = await asyncpg.connect(table.server.dsn("writer"))
    async with table.owner.transaction():
        await table.owner.fetch("SELECT FROM stock_prices_default")
        kept = asyncio.ensure_future(keep(table.writer))
        await wait_until(lambda: waiting(table.owner))
        stored = asyncio.ensure_future(store(other, 1))
        made, dropped, problem = await kept
        await stored
    assert (made, dropped) == (0, 0)
    assert "lock timeout" in str(problem)
    assert await keep(table.writer) == (1, 0, None)
    assert (await rows(table.owner))[day(-1)] == 1
    await other.close()


async def test_a_reader_of_one_day_delays_the_end_of_old_ones_and_no_new_one(table: Table) -> None:
    await store(table.writer, -9, -1, 0)
    assert await keep_all(table.writer) == (2, 0)
    await table.owner.execute("UPDATE retention SET days = 2")
    await table.owner.execute(f"DROP TABLE {day(3)}")
    async with table.owner.transaction():
        await table.owner.fetch("SELECT FROM stock_prices WHERE timestamp = $1", NOW)
        assert await keep(table.writer) == (1, 0, None)
        made, dropped, problem = await keep(table.writer)
    assert (made, dropped) == (0, 0)
    assert "lock timeout" in str(problem)
    assert await keep(table.writer) == (0, 1, None)


async def test_a_batch_that_meets_the_making_of_its_day_is_tried_again_and_not_buried(
    table: Table,
) -> None:
    us = int((NOW + timedelta(days=5)).timestamp() * 1_000_000)
    [entry] = entries(numbered(1), first_us=us)
    async with TickStore(PostgresDsn(table.server.dsn("writer"))) as store:
        async with table.owner.transaction():
            await table.owner.execute("SELECT make_partition(current_date + 5)")
            saved = asyncio.ensure_future(store.save([entry]))
            await wait_until(lambda: waiting(table.owner))
        with pytest.raises(Outage, match="partition constraint"):
            await saved
        assert await store.save([entry]) == []
    assert (await rows(table.owner))[day(5)] == 1


async def waiting(owner: Connection) -> bool:
    return bool(await owner.fetchval(WAITING))


async def test_a_writer_makes_days_when_it_starts_and_goes_on_when_it_may_not(
    redis: Redis, table: Table, service: StartService, redis_url: str, stream: str
) -> None:
    await table.owner.execute(f"DROP TABLE {day(2)}")
    process = start_writer(service, redis_url, table.server, stream)
    await process.wait_for("partitions.kept", made=1, dropped=0)
    assert await process.terminate() == 0, process.transcript()

    await table.owner.execute("REVOKE ALL ON FUNCTION keep_partitions FROM writer")
    await append(redis, stream, entries(numbered(10)))
    process = start_writer(service, redis_url, table.server, stream)
    await process.wait_for("partitions.failed", reason=lambda text: "42501" in text)
    await all_settled(redis, stream, "writer")
    assert await process.terminate() == 0
    assert not process.find("outage")


@pytest.mark.parametrize("role", ["writer", "api", "grafana", "vector"])
async def test_nobody_but_the_owner_changes_days_by_himself(table: Table, role: str) -> None:
    connection = await asyncpg.connect(table.server.dsn(role))
    await connection.execute("SET default_transaction_read_only = off")
    for forbidden in (
        "SELECT make_partition(current_date + 9)",
        "SELECT make_partitions(current_date, current_date + 9)",
        "SELECT drop_old_partitions()",
        "UPDATE retention SET days = 1",
        "SELECT FROM retention FOR UPDATE",
        "DO $$ BEGIN LOCK TABLE migrations; END $$",
        f"TRUNCATE {day(0)}",
        f"DROP TABLE {day(0)}",
        "SELECT set_password('writer', 'mine')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    if role != "writer":
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(KEEP)
    await connection.close()
