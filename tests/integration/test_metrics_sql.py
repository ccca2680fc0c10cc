"""metrics_in: what Vector's sink inserts is stored once, and no row can make a batch fail."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.conftest import Database
from tests.metric_rows import PARTITIONS, connected, insert, stored

NOW = datetime.now(UTC)
GOOD = {"at": NOW.isoformat(), "service": "writer", "instance": "a", "name": "rows", "value": 1}
POISON: list[dict[str, Any]] = [
    {"at": "one day"},
    {"at": None},
    {"at": 5},
    {"at": "infinity"},
    {"at": "0044-03-15 BC"},
    {"at": (NOW - timedelta(days=30)).isoformat()},
    {"at": (NOW + timedelta(days=3)).isoformat()},
    {"value": None},
    {"value": "many"},
    {"value": "NaN"},
    {"value": "-Infinity"},
    {"value": "1e999"},
    {"value": {"p50": 1}},
    {"value": [1]},
    {"value": True},
    {"service": None},
    {"instance": None},
    {"name": None},
    {"name": "x" * 3000},
    {"name": "é" * 1500},
    {"labels": 5},
    {"labels": [1]},
    {"labels": "kind"},
    {"labels": {"kind": "x" * 3000}},
    {"labels": {str(number): number for number in range(180)}},
]


@pytest.fixture
async def metrics(postgres: Database) -> Database:
    """No rows and no partitions."""
    for partition in await partitions(postgres):
        await postgres.connection.execute(f"DROP TABLE {partition}")
    return postgres


async def test_each_row_is_stored_as_it_came(metrics: Database) -> None:
    labelled = GOOD | {"name": "errors", "value": -2.5, "labels": {"kind": "outage:redis"}}
    await insert(metrics.dsn("vector"), [GOOD, labelled, GOOD | {"instance": "b", "more": [1]}])
    rows = await metrics.connection.fetch("SELECT * FROM pipeline_metrics ORDER BY instance, name")
    assert [tuple(row) for row in rows] == [
        (NOW, "writer", "a", "errors", -2.5, '{"kind": "outage:redis"}'),
        (NOW, "writer", "a", "rows", 1.0, "{}"),
        (NOW, "writer", "b", "rows", 1.0, "{}"),
    ]


async def test_what_is_there_already_is_left_alone(metrics: Database) -> None:
    other = GOOD | {"name": "handled"}
    await insert(metrics.dsn("vector"), [GOOD, GOOD, GOOD | {"labels": {}}])
    await insert(metrics.dsn("vector"), [other, GOOD | {"value": 2}])
    assert await stored(metrics.connection, "a") == {("rows", 1, "{}"), ("handled", 1, "{}")}


@pytest.mark.parametrize("fault", POISON, ids=",".join)
async def test_a_row_that_is_no_metric_is_left_out_and_its_neighbours_are_stored(
    metrics: Database, fault: dict[str, Any]
) -> None:
    last = GOOD | {"name": "last"}
    await insert(metrics.dsn("vector"), [GOOD, GOOD | {"name": "bad"} | fault, last])
    assert await stored(metrics.connection, "a") == {("rows", 1, "{}"), ("last", 1, "{}")}


async def test_a_day_gets_its_partition_with_its_first_row(metrics: Database) -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    moments = [midnight, midnight - timedelta(microseconds=1), midnight + timedelta(days=1)]
    await insert(metrics.dsn("vector"), [GOOD | {"at": each.isoformat()} for each in moments])
    assert await partitions(metrics) == sorted(f"pipeline_metrics_{m:%Y%m%d}" for m in moments)
    assert await metrics.connection.fetchval("SELECT count(*) FROM pipeline_metrics") == 3


async def test_writers_that_need_a_partition_at_once_make_it_together(metrics: Database) -> None:
    batches = [[GOOD | {"instance": str(number)}] for number in range(8)]
    await asyncio.gather(*(insert(metrics.dsn("vector"), batch) for batch in batches))
    assert await metrics.connection.fetchval("SELECT count(*) FROM pipeline_metrics") == 8
    assert len(await partitions(metrics)) == 1


async def test_a_new_day_drops_the_days_that_are_too_old(metrics: Database) -> None:
    kept, old = [await add_partition(metrics, days) for days in (7, 8)]
    await insert(metrics.dsn("vector"), [GOOD])
    assert kept in await partitions(metrics)
    assert old not in await partitions(metrics)


async def test_how_long_days_are_kept_is_one_number(metrics: Database) -> None:
    change = "CREATE OR REPLACE FUNCTION metrics_retention() RETURNS int LANGUAGE sql RETURN {}"
    days = {days: await add_partition(metrics, days) for days in (1, 2, 3)}
    try:
        await metrics.connection.execute(change.format(1))
        old = GOOD | {"at": (NOW - timedelta(days=3)).isoformat(), "name": "too old by now"}
        await insert(metrics.dsn("vector"), [old, GOOD])
        assert await partitions(metrics) == [days[1], f"pipeline_metrics_{NOW:%Y%m%d}"]
        assert await stored(metrics.connection, "a") == {("rows", 1, "{}")}
    finally:
        await metrics.connection.execute(change.format(7))


async def test_a_reader_of_an_old_day_delays_its_end_but_no_insert(metrics: Database) -> None:
    old = await add_partition(metrics, 8)
    async with connected(metrics.dsn("grafana")) as reader, reader.transaction():
        await reader.fetch("SELECT count(*) FROM pipeline_metrics")
        await insert(metrics.dsn("vector"), [GOOD])
        assert old in await partitions(metrics)
    assert await stored(metrics.connection, "a") == {("rows", 1, "{}")}
    assert await metrics.connection.fetchval("SELECT drop_old_metrics()") == 1
    assert old not in await partitions(metrics)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("vector", "SELECT * FROM metrics_in"),
        ("vector", "SELECT * FROM pipeline_metrics"),
        ("vector", "SELECT * FROM stock_prices"),
        ("vector", "DELETE FROM metrics_in"),
        ("vector", "UPDATE metrics_in SET name = 'a'"),
        ("vector", "INSERT INTO pipeline_metrics VALUES (now(), 'a', 'a', 'a', 1, '{}')"),
        ("vector", "SELECT drop_old_metrics()"),
        ("vector", "SELECT make_metrics_partition(current_date)"),
        ("vector", "CREATE TEMPORARY TABLE mine ()"),
        ("grafana", "INSERT INTO metrics_in (name) VALUES ('a')"),
        ("grafana", "DELETE FROM pipeline_metrics"),
        ("grafana", "SELECT drop_old_metrics()"),
        ("writer", "INSERT INTO metrics_in (name) VALUES ('a')"),
        ("api", "SELECT * FROM pipeline_metrics"),
    ],
)
async def test_nobody_may_do_more_than_needed(metrics: Database, role: str, statement: str) -> None:
    async with connected(metrics.dsn(role)) as connection:
        await connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_grafana_reads_the_metrics_the_prices_and_how_the_server_is(
    metrics: Database,
) -> None:
    await insert(metrics.dsn("vector"), [GOOD])
    async with connected(metrics.dsn("grafana")) as connection:
        assert await connection.fetchval("SELECT count(*) FROM pipeline_metrics") == 1
        await connection.fetch("SELECT * FROM stock_prices")
        await connection.fetch("SELECT * FROM pg_stat_checkpointer, pg_stat_wal, pg_stat_database")
        assert await connection.fetchval("SELECT pg_has_role('pg_read_all_stats', 'USAGE')")


async def partitions(metrics: Database) -> list[str]:
    return [name for (name,) in await metrics.connection.fetch(PARTITIONS)]


async def add_partition(metrics: Database, days_ago: int) -> str:
    day = (NOW - timedelta(days=days_ago)).date()
    name = f"pipeline_metrics_{day:%Y%m%d}"
    bounds = f"FROM ('{day} 00:00+00') TO ('{day + timedelta(days=1)} 00:00+00')"
    await metrics.connection.execute(
        f"CREATE TABLE {name} PARTITION OF pipeline_metrics FOR VALUES {bounds}"
    )
    return name
