"""The api's queries: how PostgreSQL goes about them, with as many days as a year and more has."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from api import candles, queries
from api.database import PLANNER
from api.ranges import BEGINNING
from tests.api_process import LONG
from tests.conftest import Database
from tests.databases import new_database
from tests.servers import PostgresServer

NOW = datetime(2023, 11, 15, 13, tzinfo=UTC)
MIDNIGHT = datetime(2023, 11, 15, tzinfo=UTC)
NOON = datetime(2023, 11, 15, 12, tzinfo=UTC)
DAYS = 400
YEAR_AGO = NOW - timedelta(days=365)

PAGE = (500, ",", "json")
QUERIES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "prices": (queries.PRICES, ("LONG", NOON, -1, NOW, -1, *PAGE)),
    "prices backwards": (queries.PRICES_BACKWARDS, ("LONG", NOW, -1, MIDNIGHT, -1, *PAGE)),
    "next hour": (queries.NEXT_HOUR, ("LONG", BEGINNING)),
    "hour before": (queries.HOUR_BEFORE, ("LONG", NOW)),
    "newest": (queries.NEWEST, ("LONG",)),
    "newest of all": (queries.NEWEST_OF_ALL, ()),
    "ticks": (queries.TICKS, (["LONG"], [NOON], [1700049600000 << 20], NOON, NOON)),
    "check": (queries.CHECK, (BEGINNING,)),
    "average": (
        candles.AVERAGE,
        ("LONG", *candles.edges(YEAR_AGO + timedelta(seconds=3), NOW + timedelta(seconds=3))),
    ),
    "candles": (candles.CANDLES, ("LONG", 60, timedelta(days=1), YEAR_AGO, NOW)),
    "first candle": (candles.FIRST, ("LONG", 60, BEGINNING, NOW)),
}


@pytest.fixture(scope="module")
def year(shared_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A database with a partition for each of many days."""
    with asyncio.Runner() as runner:
        database = new_database(shared_postgres)
        made = runner.run(database.__aenter__())
        runner.run(fill(made))
        yield made
        runner.run(database.__aexit__(None, None, None))


async def fill(database: PostgresServer) -> None:
    owner = await asyncpg.connect(database.owner_dsn)
    last = MIDNIGHT.date() + timedelta(days=DAYS // 2)
    await owner.execute("SELECT make_partitions($1, $2)", last - timedelta(days=DAYS), last)
    await owner.execute(LONG)
    await owner.execute("ANALYZE")
    await owner.close()


@pytest.mark.parametrize("name", QUERIES)
async def test_every_query_reads_one_or_two_days_by_an_index(
    year: PostgresServer, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sql, arguments = QUERIES[name]
    connection = await asyncpg.connect(year.dsn("api"), server_settings=PLANNER)
    try:
        await connection.fetch(f"EXPLAIN {sql}", *arguments)  # the first one reads catalogues
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}", *arguments)
    finally:
        await connection.close()

    plan = "\n".join(row[0] for row in rows)
    days = set(re.findall(r" on stock_prices_(\w+)", plan))
    assert len(days) <= 2, plan
    assert "Seq Scan" not in plan, plan
    [planning] = re.findall(r"Planning Time: (.*)", plan)
    with capsys.disabled():
        print(f"\n{name}: planned in {planning}, {len(days)} of {DAYS} days")  # noqa: T201  # a figure that README tells


async def test_a_page_of_prices_is_not_sorted(postgres: Database) -> None:
    await postgres.connection.execute(LONG)
    await postgres.connection.execute("ANALYZE stock_prices")
    connection = await asyncpg.connect(postgres.dsn("api"), server_settings=PLANNER)
    try:
        for name in ("prices", "prices backwards"):
            sql, arguments = QUERIES[name]
            rows = await connection.fetch(f"EXPLAIN {sql}", *arguments)
            assert not re.search(r"Sort(?! Key)", "\n".join(row[0] for row in rows))
    finally:
        await connection.close()
