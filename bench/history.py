"""History: what the api answers, how fast, beside a writer that stores 20,000 ticks a second"""

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from api.formats import Format
from bench.asked import AskedApi, beside_a_writer
from bench.database import Database, ours
from bench.load import stock_name
from bench.plan import Plan

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SPACING = timedelta(milliseconds=120)  # 30,000 ticks an hour
EXPORTED = 1_000_000
TICKS = EXPORTED + 200_000
STOCKS, MINUTES = 6, 525_600
TICKS_A_MINUTE = 32  # of a stock: 100 million in a year
LATEST, REPEATS = 2000, 20
PERCENTILE = 99
STOCK = stock_name(0)

Row = tuple[str, str, str]

# A year of candles without their ticks, minutes and hours; the ticks of the last days follow.
CANDLES = """
INSERT INTO candles
SELECT 'LOAD' || stock, $1::int, $2::timestamptz - n * make_interval(mins => $1), 5, 9, 1, 5,
       $1 * $5::int * 5.25, $1 * $5::int,
       $2::timestamptz - n * make_interval(mins => $1), 1,
       $2::timestamptz - n * make_interval(mins => $1) + interval '59 s', 2
FROM generate_series(0, $3::int - 1) AS stock, generate_series(1, $4::int / $1) AS n
"""
PRICES = """
INSERT INTO stock_prices
SELECT $1::timestamptz + n * $2::interval, $3, 'NYSE', round(700 + (n % 9973) / 100.0, 2),
       (extract(epoch FROM $1::timestamptz + n * $2::interval) * 1000)::bigint << 20
FROM generate_series(0, $4::int - 1) AS n
"""


async def run(_: Plan) -> str:
    """On a server of its own, in this folder; what runs beside it is in the figures too."""
    database = Database.tried("history", ours())
    try:
        sys.stderr.write("filling: a year of candles, and ticks\n")
        await asyncio.to_thread(database.create)
        await asyncio.to_thread(database.start)
        begin = await _fill(database)
        async with beside_a_writer(database) as api:
            rows = []
            async for row in _rows(api, begin):
                sys.stderr.write(f"{' | '.join(row)}\n")
                rows.append(row)
    finally:
        database.remove()
    rows.insert(0, _shown("latest, in the api: p50, p99", *api.served["/api/latest/{stock_name}"]))
    rows.append(("stored meanwhile", f"{api.stored:,.0f} rows/s", ""))
    lines = ["| asked | took | memory of the api grew by |", "|---|---:|---:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


async def _fill(database: Database) -> datetime:
    """When the ticks begin; they end before now, so that nothing changes."""
    begin = (datetime.now(UTC) - TICKS * SPACING - HOUR).replace(minute=0, second=0, microsecond=0)
    owner = await asyncpg.connect(database.owner_dsn)
    try:
        for minutes in (1, 60):
            await owner.execute(CANDLES, minutes, begin, STOCKS, MINUTES, TICKS_A_MINUTE)
        await owner.execute(
            "SELECT make_partitions($1, $2)", begin.date(), datetime.now(UTC).date()
        )
        await owner.execute(PRICES, begin, SPACING, STOCK, TICKS)
        await owner.execute("VACUUM ANALYZE")
    finally:
        await owner.close()
    return begin


async def _rows(api: AskedApi, begin: datetime) -> AsyncIterator[Row]:
    latest = [await api.ask("latest") for _ in range(LATEST)]
    yield _shown("latest, to the client and back: p50, p99", *_quantiles(latest))
    for name, length in (("day", DAY), ("month", 30 * DAY), ("year", 365 * DAY)):
        # Half a minute off: the edges are ticks, at the later end at least.
        end = begin + DAY + timedelta(seconds=30)
        took = [await api.ask("average", end - length, end) for _ in range(REPEATS)]
        yield _shown(f"average of a {name}, median", statistics.median(took))
    took = [await api.ask("prices", begin, begin + HOUR) for _ in range(REPEATS)]
    yield _shown(f"prices of an hour, {HOUR // SPACING:,} rows, median", statistics.median(took))
    for form in Format:
        api.forget_peak()
        before = api.memory("VmRSS")
        end = begin + EXPORTED * SPACING
        ms = await api.ask("prices", begin, end, form)
        name, grown = f"{EXPORTED:,} rows as {form}", api.memory("VmHWM") - before
        yield name, f"{EXPORTED / ms * 1000:,.0f} rows/s", f"{grown / 1024:.0f} MB"


def _quantiles(took: Sequence[float]) -> tuple[float, float]:
    return statistics.median(took), sorted(took)[len(took) * PERCENTILE // 100]


def _shown(asked: str, *milliseconds: float) -> Row:
    return asked, ", ".join(f"{each:.3g} ms" for each in milliseconds), ""
