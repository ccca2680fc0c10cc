"""The writer when something dies: each tick is in the table once, and nothing waits to be told."""

import asyncio
import random
import signal
from functools import partial
from time import monotonic

import asyncpg
from pydantic import PostgresDsn
from redis.asyncio import Redis

from pipeline.outage import Outage, persist
from pipeline.stream import Entry
from tests.conftest import Database
from tests.consumers import WRITER, start_writer
from tests.servers import PostgresServer, RedisServer
from tests.services import StartService
from tests.ticks import all_settled, append, entries, in_hand, numbered, pending, row, stored
from tests.waiting import wait_until
from writer.store import TickStore

LIVES = 8
CUT_WRITERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'writer'"


async def appended(redis: Redis, stream: str, count: int) -> list[Entry]:
    sent = entries(numbered(count))
    await append(redis, stream, sent)
    return sent


async def delivered(redis: Redis, stream: str, count: int) -> list[Entry]:
    """Entries that a writer of our name was given before it died: it reads them without a pause."""
    sent = await appended(redis, stream, count)
    await redis.xgroup_create(stream, "writer", id="0")
    await redis.xreadgroup("writer", WRITER, {stream: ">"}, count=count)
    return sent


async def have_stored(connection: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    async def enough() -> bool:
        rows = await connection.fetchval("SELECT count(*) FROM stock_prices")
        return bool(rows >= count)

    await wait_until(enough, 20.0, f"{count} rows")


async def test_a_writer_killed_between_the_commit_and_the_acknowledgement_stores_once(
    redis: Redis, postgres: Database, service: StartService, redis_url: str, stream: str
) -> None:
    sent = await appended(redis, stream, 100)
    holder = await asyncpg.connect(postgres.owner_dsn)
    hold = holder.transaction()
    await hold.start()
    last = row(sent[-1])
    await holder.execute(
        "INSERT INTO stock_prices (timestamp, stock_name, exchange_name, price, event_id)"
        " VALUES ('epoch'::timestamptz + $1 * interval '1 us', $2, $3, 1, $4)",
        *(last.received_us, last.stock_name, last.exchange_name, last.event_id),
    )
    writer = start_writer(service, redis_url, postgres.server, stream)
    # COPY inserts what it has all at once, so the writer has sent its last byte when it waits.
    await wait_until(lambda: somebody_waits(postgres), what="the COPY waits for the last row")
    writer.signal(signal.SIGSTOP)
    await hold.rollback()
    await have_stored(postgres.connection, len(sent))
    writer.kill()
    assert await pending(redis, stream, "writer") == len(sent)

    again = start_writer(service, redis_url, postgres.server, stream)
    await again.wait_for("writer.redelivered", rows=len(sent), there_already=len(sent))
    await all_settled(redis, stream, "writer")

    assert await stored(postgres.connection) == [row(entry) for entry in sent]
    await holder.close()


async def somebody_waits(postgres: Database) -> bool:
    return bool(
        await postgres.connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
    )


async def test_a_writer_killed_with_two_batches_in_hand_leaves_both_and_they_are_stored_once(
    redis: Redis, postgres: Database, service: StartService, redis_url: str, stream: str
) -> None:
    sent = await appended(redis, stream, 25)
    holder = await asyncpg.connect(postgres.owner_dsn)
    async with holder.transaction():
        await holder.execute("LOCK TABLE stock_prices IN SHARE MODE")
        writer = start_writer(service, redis_url, postgres.server, stream, BATCH_ROWS=10)
        await wait_until(lambda: somebody_waits(postgres), what="the COPY waits for the table")
        await in_hand(redis, stream, "writer", 20)  # and not one more
        writer.kill()
    assert await pending(redis, stream, "writer") == 20

    start_writer(service, redis_url, postgres.server, stream, BATCH_ROWS=10)
    await all_settled(redis, stream, "writer")

    assert await stored(postgres.connection) == [row(entry) for entry in sent]
    await holder.close()


async def test_a_writer_killed_at_any_moment_loses_nothing_and_stores_nothing_twice(
    redis: Redis, postgres: Database, service: StartService, redis_url: str, stream: str
) -> None:
    sent = await delivered(redis, stream, 20_000)
    for life in range(LIVES):
        writer = start_writer(service, redis_url, postgres.server, stream, BATCH=100)
        moment = (life + random.random()) * 0.8 * len(sent) / LIVES  # noqa: S311 - any moment will do
        await have_stored(postgres.connection, int(moment))
        writer.kill()
    assert await pending(redis, stream, "writer") > 0
    start_writer(service, redis_url, postgres.server, stream)
    await all_settled(redis, stream, "writer")

    assert await stored(postgres.connection) == [row(entry) for entry in sent]


async def test_a_postgres_that_dies_and_comes_back_has_every_row_once(
    redis: Redis, own_postgres: PostgresServer, service: StartService, redis_url: str, stream: str
) -> None:
    sent = await delivered(redis, stream, 20_000)
    connection = await asyncpg.connect(own_postgres.owner_dsn)
    writer = start_writer(service, redis_url, own_postgres, stream, BATCH=100)
    await have_stored(connection, len(sent) // 4)
    own_postgres.kill()
    connection.terminate()
    await writer.wait_for("outage", neighbour="postgres")
    own_postgres.start()
    await writer.wait_for("outage.over")
    await all_settled(redis, stream, "writer")

    connection = await asyncpg.connect(own_postgres.owner_dsn)
    assert await stored(connection) == [row(entry) for entry in sent]
    await connection.close()


async def test_a_connection_cut_at_any_moment_is_an_outage_and_nothing_else(
    postgres: Database,
) -> None:
    sent = entries(numbered(15_000))
    outages = 0
    async with TickStore(PostgresDsn(postgres.dsn("writer"))) as store:
        for begin in range(0, len(sent), 100):
            save = partial(store.save, sent[begin : begin + 100])
            saving = asyncio.create_task(save())
            for _ in range(begin % 700):  # another moment each time, counted in turns of the loop
                await asyncio.sleep(0)
            await postgres.connection.execute(CUT_WRITERS)
            try:
                await saving
            except Outage:
                outages += 1
                await persist(save, asyncio.Event())

    assert outages > 0
    assert await stored(postgres.connection) == [row(entry) for entry in sent]


async def test_a_postgres_that_only_reads_for_a_while_is_waited_for(
    redis: Redis, own_postgres: PostgresServer, service: StartService, redis_url: str, stream: str
) -> None:
    connection = await asyncpg.connect(own_postgres.owner_dsn)
    writer = start_writer(service, redis_url, own_postgres, stream)
    before = await appended(redis, stream, 10)
    await have_stored(connection, len(before))
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    await connection.execute(CUT_WRITERS)
    after = await appended(redis, stream, 10)
    await writer.wait_for("outage", neighbour="postgres", reason=lambda text: "25006" in text)
    assert await pending(redis, stream, "writer") == len(after)

    await connection.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    await all_settled(redis, stream, "writer")

    assert await stored(connection) == [row(entry) for entry in before + after]
    await connection.close()


async def test_a_writer_started_before_its_neighbours_waits_for_them(
    own_redis: RedisServer, own_postgres: PostgresServer, service: StartService, stream: str
) -> None:
    own_redis.kill()
    own_postgres.kill()
    writer = start_writer(service, own_redis.url, own_postgres, stream)
    await writer.wait_for("outage", neighbour="redis")
    own_redis.start()
    async with Redis.from_url(own_redis.url, protocol=2) as redis:
        sent = await appended(redis, stream, 10)
        await writer.wait_for("outage", neighbour="postgres")
        own_postgres.start()
        await all_settled(redis, stream, "writer")

    connection = await asyncpg.connect(own_postgres.owner_dsn)
    assert await stored(connection) == [row(entry) for entry in sent]
    await connection.close()


async def test_a_redis_that_dies_and_comes_back_costs_no_row_and_doubles_none(
    own_redis: RedisServer, postgres: Database, service: StartService, stream: str
) -> None:
    async with Redis.from_url(own_redis.url, protocol=2) as redis:
        sent = await delivered(redis, stream, 20_000)
        await redis.waitaof(1, 0, 5000)
        writer = start_writer(service, own_redis.url, postgres.server, stream, BATCH=100)
        await have_stored(postgres.connection, len(sent) // 4)
        own_redis.kill()
        await writer.wait_for("outage", neighbour="redis")
        own_redis.start()
    async with Redis.from_url(own_redis.url, protocol=2) as redis:
        sent += await appended(redis, stream, 100)
        await all_settled(redis, stream, "writer")

    assert await stored(postgres.connection) == [row(entry) for entry in sent]


async def test_a_stop_stores_and_acknowledges_what_is_in_hand_however_long_the_interval(
    redis: Redis, postgres: Database, service: StartService, redis_url: str, stream: str
) -> None:
    sent = await appended(redis, stream, 3)
    writer = start_writer(service, redis_url, postgres.server, stream, FLUSH_INTERVAL=60)
    await in_hand(redis, stream, "writer", len(sent))
    assert await stored(postgres.connection) == []

    began = monotonic()
    assert await writer.terminate() == 0
    assert monotonic() - began < 10

    assert await stored(postgres.connection) == [row(entry) for entry in sent]
    assert await pending(redis, stream, "writer") == 0
    assert writer.find("service.stopped")


async def test_a_full_batch_does_not_wait_for_the_interval(
    redis: Redis, postgres: Database, service: StartService, redis_url: str, stream: str
) -> None:
    sent = await appended(redis, stream, 25)
    start_writer(service, redis_url, postgres.server, stream, FLUSH_INTERVAL=60, BATCH_ROWS=10)
    await have_stored(postgres.connection, 20)
    await in_hand(redis, stream, "writer", 5)

    assert await stored(postgres.connection) == [row(entry) for entry in sent[:20]]
