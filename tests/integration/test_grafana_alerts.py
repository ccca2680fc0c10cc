"""Every alert rule under Grafana's role: silent while all is well, and fires when it isn't."""

import operator
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.conftest import Database
from tests.dashboards import rules
from tests.reports import EVERY, everybody, store

TROUBLE = timedelta(seconds=80)
COMPARE = {"gt": operator.gt, "lt": operator.lt}
TEXT, NUMBER = {"text"}, {"float8", "numeric", "int8"}

FIRES: dict[str, dict[str, dict[str, Any]]] = {
    "stage-stopped": {},
    "lag": {"writer": {"lag_seconds": 31}},
    "errors": {"forwarder": {"errors": [{"kind": "outage:centrifugo", "value": 1}]}},
    "stream-full": {"bridge": {"redis_memory_bytes": 2**31 * 0.9}},  # and another case below
    "no-ticks": {"bridge": {"received": 7}},
}
"""What the services say while a rule has to fire; each test says how the first one comes about."""


@pytest.fixture
async def database(postgres: Database) -> AsyncIterator[Database]:
    await postgres.connection.execute("TRUNCATE pipeline_metrics")
    yield postgres
    await postgres.connection.execute("TRUNCATE pipeline_metrics")


async def firing(database: Database) -> dict[str, list[str]]:
    """By rule: whom it fires for. A rule without data does what its noDataState says."""
    connection = await asyncpg.connect(database.dsn("grafana"))
    try:
        found = {rule["uid"]: await _evaluated(connection, rule) for rule in rules()}
    finally:
        await connection.close()
    return {uid: services for uid, services in found.items() if services}


async def reported(
    database: Database, minutes: int, trouble: timedelta = TROUBLE, /, **wrong: dict[str, Any]
) -> None:
    """Reports until now, of whom all are well but for what is `wrong` for the last while."""
    now = datetime.now(UTC)
    begin = now - timedelta(minutes=minutes)
    ages = [EVERY * number for number in range(minutes * 12 - 1)]
    await store(
        database.dsn("vector"),
        [
            report
            for age in reversed(ages)
            for report in everybody(begin, now - age, **(wrong if age < trouble else {}))
        ],
    )


async def test_no_rule_fires_while_all_is_well(database: Database) -> None:
    await reported(database, 6)
    assert await firing(database) == {}


@pytest.mark.parametrize("uid", [uid for uid, wrong in FIRES.items() if wrong])
async def test_a_rule_fires_for_what_it_is_made_for_and_no_other_does(
    database: Database, uid: str
) -> None:
    await reported(database, 6, **FIRES[uid])
    found = await firing(database)
    assert found.keys() == {uid}
    assert found[uid] in (list(FIRES[uid]), [""])


async def test_a_message_that_the_bridge_buries_is_a_dead_letter_too(database: Database) -> None:
    await reported(database, 6, bridge={"refused": 1})
    assert await firing(database) == {"errors": ["bridge"]}


async def test_a_stream_near_its_cap_is_told_before_it_is_cut(database: Database) -> None:
    await reported(database, 6, bridge={"stream_length": 4_100_000})
    assert await firing(database) == {"stream-full": [""]}


async def test_what_the_cap_cut_is_an_error_too(database: Database) -> None:
    await reported(database, 6, bridge={"overrun": [{"group": "writer", "value": 1}]})
    assert await firing(database) == {"errors": ["bridge"]}


async def test_an_error_of_long_ago_fires_no_more(database: Database) -> None:
    """Counters keep it for ever."""
    await reported(database, 8, timedelta(minutes=6), **FIRES["errors"])
    assert await firing(database) == {}


async def test_a_stage_that_is_silent_is_named(database: Database) -> None:
    await reported(database, 6)
    silence = "DELETE FROM pipeline_metrics WHERE service = $1 AND at > now() - interval '40 s'"
    await database.connection.execute(silence, "writer")
    assert await firing(database) == {"stage-stopped": ["writer"]}


async def test_a_stage_that_never_came_is_named(database: Database) -> None:
    await reported(database, 6)
    await database.connection.execute("DELETE FROM pipeline_metrics WHERE service = 'api'")
    assert await firing(database) == {"stage-stopped": ["api"]}


async def test_without_the_mock_market_nobody_misses_it(database: Database) -> None:
    await reported(database, 6)
    await database.connection.execute("DELETE FROM pipeline_metrics WHERE service = 'generator'")
    assert await firing(database) == {}


async def test_without_any_report_everything_is_silent_and_that_is_said(database: Database) -> None:
    found = await firing(database)
    assert found == {
        "stage-stopped": ["api", "bridge", "forwarder", "writer"],
        "no-ticks": ["no data"],
    }


def test_every_rule_has_a_case() -> None:
    assert {rule["uid"] for rule in rules()} == FIRES.keys()


async def _evaluated(connection: Any, rule: dict[str, Any]) -> list[str]:
    asked, threshold = rule["data"]
    statement = await connection.prepare(asked["model"]["rawSql"])
    types = {column.name: column.type.name for column in statement.get_attributes()}
    # Grafana takes a table with one number a row; the texts beside it are the labels.
    assert types.pop("value") in NUMBER, rule["uid"]
    assert set(types.values()) <= TEXT, rule["uid"]
    found = await statement.fetch()
    if not found:
        return ["no data"] if rule["noDataState"] == "Alerting" else []
    [condition] = threshold["model"]["conditions"]
    [limit] = condition["evaluator"]["params"]
    fires = COMPARE[condition["evaluator"]["type"]]
    assert all(row["value"] is not None for row in found), rule["uid"]
    return sorted(row.get("service") or "" for row in found if fires(row["value"], limit))
