"""A PostgreSQL that says no, or nothing, is waited out: each row is there once, none is buried."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
from pydantic import PostgresDsn
from redis.asyncio import Redis

from local.privileges import give_away
from pipeline.outage import Outage
from tests.chaos import disk
from tests.consumers import start_writer
from tests.databases import new_database, upgrade
from tests.servers import PostgresServer
from tests.services import Service, StartService
from tests.ticks import (
    all_settled,
    append,
    dead_letters,
    entries,
    numbered,
    pending,
    row,
    stored,
)
from tests.waiting import wait_until
from writer import store
from writer.store import TickStore

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE usename = 'writer' AND datname = current_database()
"""
HELD = "BEGIN; LOCK TABLE stock_prices IN ACCESS EXCLUSIVE MODE"
SET = "ALTER ROLE writer IN DATABASE {0} SET"
REFUSALS = {  # what makes PostgreSQL say so, and what ends it
    "53300": (["ALTER DATABASE {0} CONNECTION LIMIT 0"], ["ALTER DATABASE {0} CONNECTION LIMIT 9"]),
    "57014": ([f"{SET} statement_timeout = 200", HELD], ["ROLLBACK"]),
    "55P03": ([f"{SET} lock_timeout = 200", HELD], ["ROLLBACK"]),
}


@dataclass(frozen=True)
class Writing:
    """A writer that has stored some rows in a database of its own."""

    service: Service
    database: PostgresServer
    redis: Redis
    stream: str

    async def append(self, count: int = 10) -> list[Any]:
        sent = entries(numbered(count))
        await append(self.redis, self.stream, sent)
        return [row(entry) for entry in sent]

    async def is_refused(self, sqlstate: str) -> None:
        """It waits, and what it has in hand stays there."""
        code = f"({sqlstate})"
        await self.service.wait_for("outage", neighbour="postgres", reason=lambda it: code in it)
        assert await pending(self.redis, self.stream, "writer") > 0

    async def has_stored(self, expected: list[Any]) -> None:
        await all_settled(self.redis, self.stream, "writer")
        async with owner(self.database) as connection:
            assert await stored(connection) == expected
        assert await dead_letters(self.redis, self.stream, "writer") == []


@asynccontextmanager
async def owner(database: PostgresServer) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        yield connection
    finally:
        await connection.close()


Start = Callable[[PostgresServer], Awaitable[tuple[Writing, list[Any]]]]


@pytest.fixture
def start(redis: Redis, service: StartService, redis_url: str, stream: str) -> Start:
    """start(database) is a writer there, and the ten rows that it has stored."""

    async def start(database: PostgresServer) -> tuple[Writing, list[Any]]:
        process = start_writer(service, redis_url, database, stream)
        writing = Writing(process, database, redis, stream)
        before = await writing.append()
        await all_settled(redis, stream, "writer")
        return writing, before

    return start


@pytest.mark.parametrize("sqlstate", REFUSALS)
async def test_a_refusal_is_waited_out(
    shared_postgres: PostgresServer, start: Start, sqlstate: str
) -> None:
    refuse, relent = REFUSALS[sqlstate]
    async with new_database(shared_postgres) as database, owner(database) as connection:
        writing, before = await start(database)
        name = await connection.fetchval("SELECT current_database()")
        for statement in (*refuse, CUT):
            await connection.execute(statement.format(name))
        after = await writing.append()
        await writing.is_refused(sqlstate)

        for statement in relent:
            await connection.execute(statement.format(name))
        await writing.has_stored(before + after)


async def test_the_victim_of_a_deadlock_begins_again(
    shared_postgres: PostgresServer, start: Start
) -> None:
    async with new_database(shared_postgres) as database, owner(database) as holder:
        name = await holder.fetchval("SELECT current_database()")
        # So that it isn't the holder who gives in, however busy the machine is.
        await holder.execute(f"ALTER ROLE writer IN DATABASE {name} SET deadlock_timeout = '3s'")
        await holder.execute("SET deadlock_timeout = '60s'")
        writing, before = await start(database)
        hold = holder.transaction()
        await hold.start()
        sent = entries(numbered(10))
        await insert(holder, sent[-1])
        await append(writing.redis, writing.stream, sent)
        async with owner(database) as looking:
            await wait_until(lambda: somebody_waits(looking), what="the COPY waits for its last")
        await insert(holder, sent[0])  # which the COPY has written already
        await writing.is_refused("40P01")

        await hold.rollback()
        await writing.has_stored(before + [row(entry) for entry in sent])


async def insert(connection: Connection, entry: Any) -> None:
    found = row(entry)
    await connection.execute(
        "INSERT INTO stock_prices (timestamp, stock_name, exchange_name, price, event_id)"
        " VALUES ('epoch'::timestamptz + $1 * interval '1 us', $2, $3, 1, $4)",
        *(found.received_us, found.stock_name, found.exchange_name, found.event_id),
    )


async def somebody_waits(connection: Connection) -> bool:
    return bool(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


async def test_an_empty_database_in_the_old_ones_place_gets_what_was_not_stored_yet(
    shared_postgres: PostgresServer, start: Start
) -> None:
    """As after a failover to a server without data, once migrate has been run there."""
    async with new_database(shared_postgres) as database:
        writing, _ = await start(database)
        async with owner(shared_postgres) as connection:
            name = database.owner_dsn.rpartition("/")[2]
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            after = await writing.append()
            await writing.is_refused("3D000")
            await connection.execute(f"CREATE DATABASE {name}")
        await writing.is_refused("42P01")

        await upgrade(database)
        await writing.has_stored(after)


async def test_a_postgres_that_does_not_answer_is_given_up_and_asked_again(
    own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "COMMAND_TIMEOUT", 0.5)
    monkeypatch.setattr(store, "CONNECT_TIMEOUT", 0.5)
    batch = entries(numbered(100))
    async with TickStore(PostgresDsn(own_postgres.dsn("writer"))) as writer:
        assert await writer.save(batch[:1]) == []
        own_postgres.pause()
        for _ in ("the connection that it has", "a new one"):
            with pytest.raises(Outage):
                await writer.save(batch)
        own_postgres.resume()
        monkeypatch.undo()  # it has to catch up first
        assert await writer.save(batch) == []
    async with owner(own_postgres) as connection:
        assert await stored(connection) == [row(entry) for entry in batch]


async def test_it_is_given_up_too_when_more_is_to_be_sent_than_it_has_room_for(
    own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "COMMAND_TIMEOUT", 0.5)
    batch = entries(f"{'A' * 250}:{n}" for n in range(1, 60_001))  # 18 MB
    async with TickStore(PostgresDsn(own_postgres.dsn("writer"))) as writer:
        assert await writer.save(batch[:1]) == []
        own_postgres.pause()
        async with asyncio.timeout(20):  # far above what it may take
            with pytest.raises(Outage):
                await writer.save(batch)
        own_postgres.resume()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 16 MB."""
    folder = Path(tempfile.mkdtemp(prefix="pipeline-disk-"))
    if not disk.mount(folder, "16m"):
        folder.rmdir()
        pytest.skip("a file system of its own takes root")
    yield folder
    assert disk.unmount(folder)
    folder.rmdir()


async def test_a_full_disk_is_waited_out(
    small_disk: Path, own_postgres: PostgresServer, start: Start
) -> None:
    place = small_disk / "ticks"
    place.mkdir(mode=0o700)
    give_away(place)
    writing, before = await start(own_postgres)
    async with owner(own_postgres) as connection:
        await connection.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        today = await connection.fetchval("SELECT DISTINCT tableoid::regclass FROM stock_prices")
        await connection.execute(f"ALTER TABLE {today} SET TABLESPACE small")
    ballast = small_disk / "ballast"
    disk.fill(ballast)
    after = await writing.append(1000)
    await writing.is_refused("53100")

    await asyncio.to_thread(ballast.unlink)
    await writing.has_stored(before + after)
