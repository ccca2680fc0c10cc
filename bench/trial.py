"""Trial: with some settings, a quarter of an hour stored while others read; and much read."""

import asyncio
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import orjson
from pydantic import PostgresDsn

from bench.database import Database
from bench.load import stock_name
from bench.market import MICROSECONDS, QUARTER, Market
from writer.store import TickStore

STORED = 2 * QUARTER  # with its index, more than shared_buffers holds
PERCENTILE = 99
LOOK_EVERY = 0.05
GROUND = "ground"
CHECKPOINT_TIMEOUT = "SELECT setting::int FROM pg_settings WHERE name = 'checkpoint_timeout'"
COUNTERS = """
SELECT pg_current_wal_insert_lsn() - '0/0' AS wal,
       (SELECT num_done FROM pg_stat_checkpointer) AS checkpoints,
       (SELECT wal_fpi FROM pg_stat_wal) AS pages,
       (SELECT wal_buffers_full FROM pg_stat_wal) AS waits
"""
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('writer', 'api')"

# The widest read there is; the api's own average reads candles.
SCAN = """
SELECT avg(price), count(*) FROM stock_prices
WHERE stock_name = $1 AND timestamp >= $2 AND timestamp < $3
"""

WRITING = (
    "rows/s",
    "WAL bytes a row",
    "full pages",
    "checkpoints",
    "WAL buffers full",
    "history p99, ms",
    "start after a crash, s",
)
READING = ("all ticks of a stock, ms", "from disk, ms")
REPEATS = 3


@dataclass(frozen=True)
class Ground:
    """A stopped database with half an hour in it, and the quarter that follows."""

    database: Database
    stored: Market
    following: Market


async def prepare() -> Ground:
    """With PostgreSQL's own settings; every trial begins with a copy of it."""
    begin_us = time.time_ns() // 1000 - (STORED + QUARTER) * MICROSECONDS
    stored = Market(begin_us, STORED)
    database = Database.tried(GROUND, {})
    await asyncio.to_thread(database.create)
    await asyncio.to_thread(database.start)
    await _store(database, stored)
    async with _owner(database) as owner:
        await owner.execute("VACUUM ANALYZE stock_prices")
    await asyncio.to_thread(database.stop)
    return Ground(database, stored, Market(stored.end_us))


async def write(ground: Ground, settings: Mapping[str, str]) -> tuple[float, ...]:
    """In the order of WRITING."""
    database = Database.tried("trial", settings)
    await asyncio.to_thread(database.copy, ground.database)
    try:
        await asyncio.to_thread(database.start)
        async with _owner(database) as owner:
            before = await _counts(owner)
            async with _reader(database, ground.stored) as took:
                seconds = await _store(database, ground.following)
            while await owner.fetchval(OTHERS):  # noqa: ASYNC110  # other processes' ends
                await asyncio.sleep(LOOK_EVERY)  # they leave their counts when they go
            after = await _counts(owner)
        await asyncio.to_thread(database.crash)
        recovery = await asyncio.to_thread(database.start)
    finally:
        database.remove()
    wal, checkpoints, pages, waits = map(float.__sub__, after, before)
    p99 = sorted(took)[len(took) * PERCENTILE // 100]
    rows = ground.following.rows
    return rows / seconds, wal / rows, pages, checkpoints, waits, p99, recovery


async def read(settings: Mapping[str, str]) -> tuple[float, ...]:
    """In the order of READING: the average of all ticks of the busiest stock, a sixth of all.

    As Grafana would ask; the api tells the planner what to do, and no setting here changes that.
    """
    database = Database.tried(GROUND, settings)
    warm, cold = [], []
    for _repeat in range(REPEATS):
        database.forget()
        await asyncio.to_thread(database.start)
        try:
            cold.append(await _average(database))
            warm.append(await _average(database))
        finally:
            await asyncio.to_thread(database.stop)
    return statistics.median(warm), statistics.median(cold)


async def _counts(owner: "asyncpg.Connection[asyncpg.Record]") -> list[float]:
    row = await owner.fetchrow(COUNTERS)
    assert row  # noqa: S101  # a SELECT without FROM has always one
    return [float(value) for value in row]


async def _store(database: Database, market: Market) -> float:
    """The seconds that PostgreSQL had the writer wait.

    The market's time flies, so the checkpoints that it would have seen are asked for.
    """
    seconds = 0.0
    async with (
        _owner(database) as owner,
        TickStore(PostgresDsn(database.dsn("writer"))) as store,
        asyncio.TaskGroup() as checkpoints,
    ):
        timeout = await owner.fetchval(CHECKPOINT_TIMEOUT)
        for over, entries in market.flushes():
            began = time.perf_counter()
            refused = await store.save(entries)
            seconds += time.perf_counter() - began
            if refused:
                raise RuntimeError(f"a row of the bench was refused: {refused[0]}")
            if over % timeout == 0 and over < market.seconds:
                checkpoints.create_task(_checkpoint(database))
    return seconds


async def _checkpoint(database: Database) -> None:
    async with _owner(database) as owner:
        await owner.execute("CHECKPOINT")


async def _average(database: Database) -> float:
    connection = await asyncpg.connect(database.dsn("api"))
    try:
        began = time.perf_counter()
        end = datetime.now(UTC)
        await connection.fetchrow(SCAN, stock_name(0), datetime.fromtimestamp(0, UTC), end)
        return (time.perf_counter() - began) * 1000
    finally:
        await connection.close()


@asynccontextmanager
async def _reader(database: Database, market: Market) -> AsyncIterator[list[float]]:
    """In a process of its own; what it took is there afterwards."""
    took: list[float] = []
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.reader", str(market.begin_us), str(market.seconds)),
        env=os.environ | {"POSTGRES_DSN": database.dsn("api")},
        stdin=PIPE,
        stdout=PIPE,
    )
    assert process.stdout  # noqa: S101  # asked for above
    await process.stdout.readline()  # it is about to ask
    try:
        yield took
    finally:
        output, _ = await process.communicate(b"")  # which closes its input
    if process.returncode:
        raise RuntimeError("the reader failed; its own words are above")
    took += orjson.loads(output)


@asynccontextmanager
async def _owner(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        yield connection
    finally:
        await connection.close()
