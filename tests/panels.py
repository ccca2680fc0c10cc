"""panels: what a panel's query brings under Grafana's role, and whether the panel can show it."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg

from tests.dashboards import Query, Range, dashboards, sent

NUMBERS = {"int2", "int4", "int8", "float4", "float8", "numeric"}
TIMES = {"timestamptz", *NUMBERS}  # seconds since the epoch are a time too

Grafana: TypeAlias = "asyncpg.Connection[asyncpg.Record]"  # generic for the type checker only


async def values(grafana: Grafana) -> dict[str, list[str]]:
    found = {}
    for dashboard in dashboards().values():
        for variable in dashboard["templating"]["list"]:
            rows = await grafana.fetch(variable["query"])
            found[variable["name"]] = [row[0] for row in rows]
    return found


async def ask(
    grafana: Grafana, query: Query, seen: Range, variables: dict[str, list[str]]
) -> tuple[dict[str, str], list[asyncpg.Record]]:
    """Columns with their types, and rows."""
    if query.repeated_by and not variables[query.repeated_by]:
        return {}, []  # Grafana shows the panel with no value
    statement = await grafana.prepare(sent(query, seen, variables))
    columns = [(column.name, column.type.name) for column in statement.get_attributes()]
    assert len(dict(columns)) == len(columns), f"a name twice in {columns}"
    return dict(columns), await statement.fetch()


def _is_series(columns: dict[str, str], found: list[asyncpg.Record], seen: Range) -> None:
    """An ordered `time`, numbers, and at most one text, which names the line."""
    types = dict(columns)
    assert types.pop("time", None) in TIMES, columns
    texts = {name for name, kind in types.items() if kind in {"text", "varchar"}}
    assert texts <= {"metric"}, columns
    numbers = types.keys() - texts
    assert len(numbers) == 1, columns
    assert {types[name] for name in numbers} <= NUMBERS, columns
    times = [_moment(row["time"]) for row in found]
    assert times == sorted(times), "not in order"
    assert times[0] >= seen.since - timedelta(seconds=seen.step), "older than asked for"
    assert times[-1] <= seen.until, "newer than asked for"
    assert any(row[name] is not None for row in found for name in numbers), "no value"


def _is_table(columns: dict[str, str], found: list[asyncpg.Record], _: Range) -> None:
    """Something to show in each column, of the types that Grafana knows."""
    assert set(columns.values()) <= {"text", "varchar", "name", "timestamptz", *NUMBERS}, columns
    empty = {name for name in columns if all(row[name] is None for row in found)}
    assert empty <= {"vacuumed", "read", "written", "added"}, f"nothing in {empty}"


def _is_annotation(columns: dict[str, str], _: list[asyncpg.Record], __: Range) -> None:
    assert columns == {"time": "timestamptz", "text": "text"}


def check(query: Query, columns: dict[str, str], found: list[asyncpg.Record], seen: Range) -> None:
    """Fails with what is missing."""
    assert found, "no rows"
    CHECKS[query.format](columns, found, seen)


CHECKS = {"time_series": _is_series, "table": _is_table, "annotation": _is_annotation}


def _moment(time: Any) -> datetime:
    return time if isinstance(time, datetime) else datetime.fromtimestamp(float(time), UTC)
