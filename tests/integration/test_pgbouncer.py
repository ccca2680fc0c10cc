"""Writer and api behind a real PgBouncer in transaction mode: nothing relies on a session."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from functools import partial

import asyncpg
import pytest
from pydantic import PostgresDsn
from redis.asyncio import Redis

from pipeline.outage import persist
from tests.api_process import Api, busy_connections, is_idle, locked, running_api, store, tick
from tests.conftest import Database
from tests.consumers import start_writer
from tests.consuming import events
from tests.pgbouncer import Pooler, pooling
from tests.servers import PostgresServer
from tests.services import Service, StartService
from tests.ticks import all_settled, entries, numbered, row, stored, trading
from tests.waiting import wait_until
from writer.store import TickStore
from writer.upkeep import keep_partitions_hourly

TOGETHER = 80  # ticks: about four thousand a second
RANGE = "start_time=2023-11-15T12:00:00Z&end_time=2023-11-15T12:10:00Z"
ADDRESSES = (
    f"/api/prices/TSLA?{RANGE}",
    f"/api/prices/TSLA?{RANGE}&limit=10&order=desc",
    f"/api/average/TSLA?{RANGE}",
    f"/api/candles/TSLA?{RANGE}&interval=1m",
    "/api/latest/TSLA",
    "/api/stocks",
)
LAST_DAY = """
SELECT max(inhrelid::regclass::text) FROM pg_inherits
WHERE inhparent = 'stock_prices'::regclass AND inhrelid::regclass::text ~ '[0-9]$'
"""
# Of a session: what only the statements of one transaction may have.
KEPT = """
SELECT (SELECT count(*) FROM pg_prepared_statements)
     + (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r')
     + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
     + (SELECT count(*) FROM pg_settings WHERE source = 'session' AND name ~ '^enable_')
"""


@pytest.fixture
def pooler(shared_postgres: PostgresServer) -> Iterator[Pooler]:
    with pooling(shared_postgres) as pooler:
        yield pooler


@pytest.fixture
async def api(service: StartService, postgres: Database, pooler: Pooler) -> AsyncIterator[Api]:
    await store(postgres.connection, [tick(n * 100_000, f"{n}.50") for n in range(5000)])
    pooled = {"POSTGRES_DSN": pooler.dsn("api"), "POSTGRES_POOLED": 1}
    async with running_api(service, **pooled, API_STATEMENT_TIMEOUT=1) as running:
        yield running


async def test_writers_lose_and_double_nothing_while_pooler_and_server_die_and_come_back(
    redis: Redis, own_postgres: PostgresServer, service: StartService, redis_url: str, stream: str
) -> None:
    with pooling(own_postgres) as pooler:
        given = {"POSTGRES_DSN": pooler.dsn("writer"), "FLUSH_INTERVAL": 0.05}
        start = partial(start_writer, service, redis_url, own_postgres, stream, **given)
        async with trading(redis, stream, TOGETHER) as sent:
            await _lead_a_hard_life(own_postgres, pooler, [start(CONSUMER=name) for name in "abc"])
        await all_settled(redis, stream, "writer", 60.0)

    owner = await asyncpg.connect(own_postgres.owner_dsn)
    assert await stored(owner) == [row(entry) for entry in sent]
    await owner.close()


async def _lead_a_hard_life(server: PostgresServer, pooler: Pooler, writers: list[Service]) -> None:
    def outages() -> int:
        events = [event for writer in writers for event in writer.events]
        return sum(each["event"] == "outage" for each in events)

    def more_than(before: int) -> bool:
        return outages() > before

    owner = await asyncpg.connect(server.owner_dsn)
    await wait_until(lambda: owner.fetchval("SELECT count(*) > 1000 FROM stock_prices"))
    assert outages() == 0
    owner.terminate()
    for die, come_back in (
        (pooler.kill, pooler.start),
        (server.kill, server.start),
        (partial(pooler.kill, signal.SIGINT), pooler.start),
    ):
        before = outages()
        die()
        await wait_until(partial(more_than, before), what="a writer misses it")
        come_back()


async def test_repeats_go_through_a_temporary_table_that_no_session_keeps(
    postgres: Database, pooler: Pooler
) -> None:
    sent = entries(numbered(3000))
    dsn = PostgresDsn(pooler.dsn("writer"))
    async with TickStore(dsn) as one, TickStore(dsn) as two, TickStore(dsn) as three:
        for begin in range(0, len(sent), 100):
            batch = sent[begin : begin + 200]  # half of it comes again in the next
            saves = [partial(each.save, batch) for each in (one, two, three)]
            await asyncio.gather(*(persist(save, asyncio.Event()) for save in saves))
        assert all(each.metrics()["repeated"] for each in (one, two, three))

    assert await stored(postgres.connection) == [row(entry) for entry in sent]
    assert await _kept(pooler, "writer") == 0


async def test_days_are_made_by_writers_that_come_by_way_of_it(
    postgres: Database, pooler: Pooler, capsys: pytest.CaptureFixture[str]
) -> None:
    day = await postgres.connection.fetchval(LAST_DAY)
    await postgres.connection.execute(f"DROP TABLE {day}")
    stop = asyncio.Event()
    keeping = [keep_partitions_hourly(pooler.dsn("writer"), stop, 0.0) for _ in range(3)]
    tasks = [asyncio.create_task(each) for each in keeping]
    is_there = "SELECT to_regclass($1) IS NOT NULL"
    await wait_until(lambda: postgres.connection.fetchval(is_there, day))
    stop.set()
    await asyncio.gather(*tasks)
    assert events(capsys, "partitions.failed") == []


async def test_the_api_answers_as_it_does_without(
    api: Api, postgres: Database, pooler: Pooler, service: StartService
) -> None:
    async with running_api(service, POSTGRES_DSN=postgres.dsn("api")) as direct:
        expected = [(await direct.get(address)).body for address in ADDRESSES]
    for _ in range(5):
        answers = await asyncio.gather(*(api.get(address) for address in ADDRESSES))
        assert [answer.body for answer in answers] == expected
    assert await _kept(pooler, "api") == 0


async def test_the_apis_limits_hold_and_a_question_that_nobody_waits_for_is_ended(
    api: Api, postgres: Database, pooler: Pooler
) -> None:
    async with locked(postgres):
        slow = await api.get(f"/api/average/TSLA?{RANGE}")
        assert slow.problem["title"] == "Query too slow"
        asked = asyncio.ensure_future(api.get(f"/api/average/TSLA?{RANGE}"))
        await wait_until(lambda: busy_connections(postgres))
        asked.cancel()
        await wait_until(lambda: is_idle(postgres))
    assert (await api.get(f"/api/average/TSLA?{RANGE}")).status == 200
    assert await _kept(pooler, "api") == 0


async def test_the_api_is_back_when_the_pooler_is(api: Api, pooler: Pooler) -> None:
    assert (await api.get("/api/stocks")).status == 200
    pooler.kill()
    assert (await api.get("/api/stocks")).problem["title"] == "Database away"
    pooler.start()

    async def answers() -> bool:
        return (await api.get("/api/stocks")).status == 200

    await wait_until(answers)
    assert not api.process.find("log")


async def _kept(pooler: Pooler, role: str) -> int:
    """What is left in any of its sessions, which take turns."""
    connection = await asyncpg.connect(pooler.dsn(role), statement_cache_size=0)
    try:
        return sum([await connection.fetchval(KEPT) for _ in range(4)])
    finally:
        await connection.close()
