"""Every panel's SQL, as Grafana sends it, under its role, on ten minutes of reports and prices."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.conftest import Database
from tests.dashboards import Range, queries
from tests.panels import Grafana, ask, check, values
from tests.reports import EVERY, Process, everybody, store

MINUTES = timedelta(minutes=10)
STOCKS = ["AAPL", "O'NE", "TSLA"]  # one is spelt so that quoting shows

PRICES = """
INSERT INTO stock_prices
SELECT at, stock, 'NYSE', 100 + extract(second FROM at),
       (extract(epoch FROM at) * 1000)::bigint << 20 | ordinality
FROM generate_series($1::timestamptz, $2, '1 second') AS at,
     unnest($3::text[]) WITH ORDINALITY AS stocks (stock)
"""
BY_TICK = """
SELECT date_bin($3, timestamp, 'epoch') AS time,
       (array_agg(price ORDER BY timestamp))[1]::float8 AS open, max(price)::float8 AS high,
       min(price)::float8 AS low, (array_agg(price ORDER BY timestamp DESC))[1]::float8 AS close,
       count(*) AS volume
FROM stock_prices WHERE stock_name = 'TSLA' AND timestamp BETWEEN $1 AND $2
GROUP BY 1 ORDER BY 1
"""


@pytest.fixture
async def grafana(postgres: Database) -> AsyncIterator[Grafana]:
    await postgres.connection.execute("TRUNCATE pipeline_metrics")
    connection = await asyncpg.connect(postgres.dsn("grafana"))
    yield connection
    await connection.close()


@pytest.fixture
def seen() -> Range:
    until = datetime.now(UTC).replace(microsecond=0)
    return Range(until - MINUTES, until, "10s")


async def filled(postgres: Database, seen: Range) -> None:
    """A writer that was killed and came back, beside another; an outage; prices of three stocks."""
    reports: list[dict[str, Any]] = []
    other = Process("writer", "writer-1", seen.since)
    at = seen.since + EVERY
    while at <= seen.until:
        passed = int((at - seen.since).total_seconds())
        late = passed >= 300
        outage = {"errors": [{"kind": "outage:postgres", "value": 1}]} if late else {}
        killed = passed - 300 if late else passed  # counts from 0 again
        started = seen.since + timedelta(seconds=300 if late else 0)
        bridge = {"refused": passed // 100}
        writer = {"started_at": started.timestamp(), "rows": killed * 48, "handled": killed * 48}
        said = {**writer, **outage, "dead_letters": killed}
        reports += everybody(seen.since, at, bridge=bridge, writer=said)
        reports.append(other.report(at, rows=passed * 2, handled=passed * 2, lag_seconds=1.0))
        at += EVERY
    await store(postgres.dsn("vector"), reports)
    await postgres.connection.execute(PRICES, seen.since, seen.until, STOCKS)
    await postgres.connection.execute("ANALYZE")


async def test_every_query_brings_rows_in_the_columns_that_its_panel_needs(
    postgres: Database, grafana: Grafana, seen: Range
) -> None:
    await filled(postgres, seen)
    variables = await values(grafana)
    assert variables == {"stock": STOCKS}
    assert len(queries()) > 40
    wrong = {}
    for query in queries():
        try:
            columns, found = await ask(grafana, query, seen, variables)
            check(query, columns, found, seen)
        except (AssertionError, asyncpg.PostgresError) as error:
            wrong[query.place] = str(error)
    assert wrong == {}


async def test_an_empty_database_is_no_error_and_no_series(grafana: Grafana, seen: Range) -> None:
    """So each panel shows its own words for nothing."""
    wrong = {}
    for query in queries():
        try:
            _, found = await ask(grafana, query, seen, await values(grafana))
            if query.format != "table":
                assert not found
        except (AssertionError, asyncpg.PostgresError) as error:
            wrong[query.place] = str(error)
    assert wrong == {}


async def test_what_panels_show_is_what_was_reported(
    postgres: Database, grafana: Grafana, seen: Range
) -> None:
    await filled(postgres, seen)

    async def series(place: str) -> dict[str, list[float]]:
        [query] = [query for query in queries() if query.place == place]
        _, found = await ask(grafana, query, seen, await values(grafana))
        lines: dict[str, list[float]] = {}
        for row in found:
            lines.setdefault(row["metric"], []).append(float(row["value"]))
        return lines

    written = (await series("pipeline: 41 In and out"))["rows"]
    # 48 a second of one and 2 of the other, also in the step in which the one began again.
    assert len(written) >= 60
    assert all(rate == pytest.approx(50) for rate in written)
    assert sum((await series("pipeline: 60 Errors"))["writer outage:postgres"]) == 1
    buried = await series("pipeline: 61 Dead letters")
    assert (sum(buried["bridge"]), sum(buried["writer"])) == (6, 295 + 300)
    assert sum((await series("pipeline: 62 Starts"))["writer"]) == 3
    assert max((await series("pipeline: 42 Lag in seconds"))["lag_seconds"]) == 2.5
    assert set(await series("pipeline: 44 Bulk-insert latency")) == {"p50", "p95", "p99", "max"}
    assert set((await series("pipeline: 51 Requests"))["200"]) == {1}
    assert set((await series("market: 2 Ticks"))["O'NE"][1:-1]) == {1}


async def test_two_bridges_receive_the_same_and_append_each_their_own(
    postgres: Database, grafana: Grafana, seen: Range
) -> None:
    """The first drops 10 a second, and so does the second: the same; half way it takes over."""
    reports: list[dict[str, Any]] = []
    first, second = (Process("bridge", name, seen.since) for name in ("bridge-0", "bridge-1"))
    half = int(MINUTES.total_seconds()) // 2
    for passed in range(5, 2 * half + 1, 5):
        same = {"received": passed * 48, "dropped": passed * 10, "refused": 0}
        at = seen.since + timedelta(seconds=passed)
        reports.append(first.report(at, **same, appended=min(passed, half) * 38))
        reports.append(second.report(at, **same, appended=max(passed - half, 0) * 38))
    await store(postgres.dsn("vector"), reports)

    panels = ("pipeline: 1 Messages received", "pipeline: 21 In and out")
    glance, path = [query for query in queries() if query.place in panels]
    _, found = await ask(grafana, glance, seen, {})
    assert {row["value"] for row in found} == {48}
    _, found = await ask(grafana, path, seen, {})
    rates = {"received": 48, "dropped": 10, "appended": 38, "refused": 0}
    assert {(row["metric"], row["value"]) for row in found} == set(rates.items())


async def test_what_is_of_shards_is_added_up_and_what_two_say_of_one_shard_is_not(
    postgres: Database, grafana: Grafana, seen: Range
) -> None:
    def by_shard(**values: float) -> list[dict[str, Any]]:
        return [{"shard": name[1:], "value": value} for name, value in values.items()]

    reports: list[dict[str, Any]] = []
    bridges = [Process("bridge", f"bridge-{number}", seen.since) for number in range(2)]
    writers = [Process("writer", f"writer-{number}", seen.since) for number in range(2)]
    for passed in range(5, int(MINUTES.total_seconds()) + 1, 5):
        at, one, two, three = seen.since + timedelta(seconds=passed), passed, 20 * passed, passed
        reports.append(bridges[0].report(at, received=by_shard(_0=one, _1=two)))
        reports.append(bridges[1].report(at, received=by_shard(_1=two, _2=three)))
        for writer, behind in zip(writers, ({"_0": 5, "_1": 7}, {"_1": 8, "_2": 1}), strict=True):
            lag = {"lag_entries": by_shard(**behind), "lag_seconds": by_shard(**behind)}
            reports.append(writer.report(at, **lag))
    await store(postgres.dsn("vector"), reports)

    for place, right in (
        ("pipeline: 1 Messages received", 22),
        ("pipeline: 43 Lag in entries", 5 + 8 + 1),
        ("pipeline: 42 Lag in seconds", 8),
    ):
        [query] = [query for query in queries() if query.place == place]
        _, found = await ask(grafana, query, seen, {})
        assert {row["value"] for row in found} == {right}, place


async def test_long_steps_come_from_candles_and_say_the_same(
    postgres: Database, grafana: Grafana, seen: Range
) -> None:
    since = seen.since.replace(second=0)
    await filled(postgres, Range(since, seen.until, "10s"))
    by_tick = await grafana.fetch(BY_TICK, since, seen.until, timedelta(minutes=5))
    asked = "SELECT * FROM price_candles('TSLA', $1, $2, $3) ORDER BY 1"
    assert await grafana.fetch(asked, since, seen.until, timedelta(minutes=5)) == by_tick
    asked = "SELECT price FROM prices_at(ARRAY['TSLA'], $1, $2, $3) ORDER BY time"
    closes = [(row["close"],) for row in by_tick]
    found = await grafana.fetch(asked, since, seen.until, timedelta(minutes=5))
    assert [tuple(row) for row in found] == closes


async def test_a_clock_that_steps_back_counts_nothing_twice(
    postgres: Database, grafana: Grafana, seen: Range
) -> None:
    begin = seen.since
    process = Process("bridge", "bridge-0", begin)
    moments = [5, 10, 15, 4, 9, 14, 19]  # seconds; the counter goes on
    reports = [
        process.report(begin + timedelta(seconds=moment), received=100 * number)
        for number, moment in enumerate(moments, 1)
    ]
    await store(postgres.dsn("vector"), reports)
    gained = "SELECT gained FROM counter_gains(ARRAY['received'], $1, $2)"
    rows = await grafana.fetch(gained, seen.since, seen.until)
    assert [row["gained"] for row in rows] == [100] * len(moments)


async def test_a_clock_that_steps_back_counts_nothing_of_long_ago(
    postgres: Database, grafana: Grafana, seen: Range
) -> None:
    """The report with the earliest time isn't the first one: its counter is not the lowest."""
    process = Process("bridge", "bridge-0", seen.since - timedelta(days=1))
    reports = [
        process.report(seen.since + timedelta(seconds=moment), received=1_000_000 + 100 * number)
        for number, moment in enumerate([100, 105, 110, 50, 55, 60])
    ]
    await store(postgres.dsn("vector"), reports)
    gained = "SELECT gained FROM counter_gains(ARRAY['received'], $1, $2)"
    rows = await grafana.fetch(gained, seen.since, seen.until)
    assert [row["gained"] for row in rows] == [100] * 5


async def test_the_first_error_of_an_old_process_counts_and_what_it_had_counted_before_does_not(
    postgres: Database, grafana: Grafana, seen: Range
) -> None:
    process = Process("writer", "writer-0", seen.since - timedelta(days=1), {"dead_letters": 70})
    error = {"kind": "outage:redis", "value": 1}
    reports = [
        process.report(seen.since + EVERY * number, errors=[error] if number > 5 else [])
        for number in range(1, 10)
    ]
    await store(postgres.dsn("vector"), reports)
    for counter, gained in (("errors", 1), ("dead_letters", 0)):
        question = "SELECT sum(gained) FROM counter_gains(ARRAY[$1], $2, $3)"
        assert await grafana.fetchval(question, counter, seen.since, seen.until) == gained


async def test_grafana_reads_and_does_nothing_else(grafana: Grafana) -> None:
    assert await grafana.fetchval("SHOW default_transaction_read_only") == "on"
    assert await grafana.fetchval("SHOW statement_timeout") == "10s"
    assert await grafana.fetchval("SHOW temp_file_limit") == "1GB"
    await grafana.execute("SET default_transaction_read_only = off")
    for statement in (
        "DELETE FROM stock_prices",
        "INSERT INTO pipeline_metrics SELECT * FROM pipeline_metrics",
        "INSERT INTO metrics_in SELECT * FROM metrics_in",
        "CREATE TABLE mine (a int)",
        "SELECT * FROM pg_authid",
        "SELECT pg_read_file('PG_VERSION')",
        # A lock that is kept would stop whoever makes the next day's partition.
        "SELECT pg_advisory_lock('pipeline_metrics'::regclass::oid::bigint)",
        "SELECT pg_try_advisory_lock_shared(1)",
        "SELECT pg_advisory_xact_lock(1, 1)",
        # Whatever fills the disk.
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT pg_logical_emit_message(false, 'x', 'x')",
        "SET temp_file_limit = -1",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await grafana.execute(statement)
