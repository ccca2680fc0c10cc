"""Growth: a table of up to a hundred million rows; what COPY and the api take of it"""

import asyncio
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta

import asyncpg
import uvloop
from pydantic import PostgresDsn

from bench.asked import AskedApi, serving
from bench.candles import RATE, made_batch
from bench.chart import draw
from bench.database import Database, ours
from bench.market import MICROSECONDS, STOCKS
from bench.numbers import said
from bench.plan import Plan
from bench.report import Report
from writer.settings import WriterSettings
from writer.store import TickStore

SIZES = (0, 1_000_000, 10_000_000, 100_000_000)
SPACING = timedelta(milliseconds=5)  # of the rows that are there: a hundred million are six days
AT_ONCE = 1_000_000  # of them in a statement: its candles are counted in memory
BATCH: int = WriterSettings.model_fields["batch_rows"].default
BATCHES = 15
WARM, LATEST, AVERAGES = 20, 500, 50
PERCENTILE = 99
ROOM = timedelta(hours=1)  # for what COPY brings, before now

FILL = """
INSERT INTO stock_prices
SELECT $1::timestamptz - n * $2::interval, 'LOAD' || n % $3, 'NYSE',
       round(700 + (n % 9973) / 100.0, 2),
       (extract(epoch FROM $1::timestamptz - n * $2::interval) * 1000)::bigint << 20
FROM generate_series($4::int + 1, $5::int) AS n
"""


def run(plan: Plan) -> Report:
    """One table that grows: by what COPY brings too."""
    report = Report(grows="rows")
    database = Database.tried("growth", ours())
    try:
        database.create()
        database.start()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure(database, plan, report))
    finally:
        database.remove()
    report.charts["growth-table.svg"] = draw(
        report.panel("The writer's COPY, with candles", "rows/s", "(COPY), rows/s"),
        report.panel("The api's answers", "ms", "(.*), ms"),
    )
    return report


async def _measure(database: Database, plan: Plan, report: Report) -> None:
    end = datetime.now(UTC) - ROOM
    owner = await asyncpg.connect(database.owner_dsn)
    filled = copied = 0
    async with serving(database) as api:
        for rows in plan.sizes or SIZES:
            sys.stderr.write(f"{rows:,} rows\n")
            await _fill(owner, end, filled, max(filled, rows - copied))
            filled = max(filled, rows - copied)
            rate = await _copied(database, end, copied, plan.left_out)
            copied += BATCHES * BATCH
            stored = await owner.fetchval("SELECT count(*) FROM stock_prices")
            report.miss("in the table", *said(filled + copied - stored, 0, 0))
            report.add({"rows": rows, "COPY, rows/s": rate} | await _asked(api))
    await owner.close()


async def _fill(
    owner: "asyncpg.Connection[asyncpg.Record]", end: datetime, first: int, last: int
) -> None:
    """Rows number first … last-1, each a bit older than the one before."""
    oldest = (end - last * SPACING).date()
    await owner.execute("SELECT make_partitions($1, $2)", oldest, datetime.now(UTC).date())
    for begin in range(first, last, AT_ONCE):
        until = min(last, begin + AT_ONCE)
        await owner.execute(FILL, end, SPACING, STOCKS, begin, until)
        sys.stderr.write(f"  filled: {until:,}\n")
    await owner.execute("VACUUM ANALYZE stock_prices, candles")


async def _copied(database: Database, end: datetime, before: int, left_out: int | None) -> float:
    """Rows a second that the writer's store takes; their times go on from those before."""
    begin_us = int(end.timestamp() * MICROSECONDS) + before * MICROSECONDS // RATE
    seconds = 0.0
    async with TickStore(PostgresDsn(database.dsn("writer"))) as store:
        for number in range(BATCHES):
            batch = made_batch(begin_us + number * BATCH * MICROSECONDS // RATE, BATCH)
            if left_out is not None and before + number == 0:
                del batch[left_out]
            began = time.perf_counter()
            if refused := await store.save(batch):
                raise RuntimeError(f"a row of the bench was refused: {refused[0]}")
            seconds += time.perf_counter() - began
    return BATCHES * BATCH / seconds


async def _asked(api: AskedApi) -> dict[str, float]:
    """Milliseconds to a client and back; of one stock of all, the average over all its time."""
    for _ in range(WARM):
        await api.ask("latest")
        await api.ask("average")
    latest = sorted([await api.ask("latest") for _ in range(LATEST)])
    averages = [await api.ask("average") for _ in range(AVERAGES)]
    return {
        "latest p50, ms": statistics.median(latest),
        "latest p99, ms": latest[LATEST * PERCENTILE // 100],
        "average of all, p50, ms": statistics.median(averages),
    }
