"""What Vector's sink does with rows, and what a `progress` line means, written down once more."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import orjson

SINK = "INSERT INTO metrics_in SELECT * FROM jsonb_populate_recordset(NULL::metrics_in, $1)"
PARTITIONS = """
SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'pipeline_metrics'::regclass
ORDER BY 1
"""

HEAD = '"service":"writer","instance":"a","event":"progress"'
DATED = f'"at":"2026-01-02T03:04:05.678901+00:00",{HEAD}'
# By what is wrong with it.
GARBAGE = {
    "empty": "",
    "no JSON": "Segmentation fault (core dumped)",
    "a list": "[1]",
    "a number": "5",
    "null": "null",
    "no field": "{}",
    "half a line": f'{{{DATED},"rows":1',
    "two lines in one": f'{{{DATED},"rows":1}}{{{DATED},"rows":1}}',
    "a megabyte": f'{{{DATED},"rows":1,"text":"{"x" * 1_000_000}"}}',
    "a megabyte of brackets": "[" * 1_000_000,
    "a NUL": f'{{{DATED},"rows":1}}\0',
    "a NUL that is written out": f'{{{DATED},"rows":1,"errors":[{{"kind":"a\\u0000","value":1}}]}}',
    "half a character": f'{{{DATED},"rows":1,"text":"\\ud800"}}',
    "NaN": f'{{{DATED},"rows":NaN}}',
    "more than a double": f'{{{DATED},"rows":1e999}}',
    "no time": f'{{{HEAD},"rows":1}}',
    "a time that is a number": f'{{"at":5,{HEAD},"rows":1}}',
    "a time that is none": f'{{"at":"yesterday",{HEAD},"rows":1}}',
    "no service": f'{{{DATED.replace("service", "servant")},"rows":1}}',
    "an instance that is a number": f'{{{DATED.replace(chr(34) + "a" + chr(34), "1")},"rows":1}}',
    "no event": f'{{{DATED.replace("event", "advent")},"rows":1}}',
}

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"  # generic for the type checker only
Point = tuple[str, float, str]
"""A name, a value, and the labels as JSON with sorted keys."""


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def insert(dsn: str, rows: object) -> None:
    """As the sink does it, under the login that it has."""
    async with connected(dsn) as connection:
        await connection.execute(SINK, orjson.dumps(rows).decode())


async def stored(connection: Connection, instance: str) -> set[Point]:
    rows = await connection.fetch(
        "SELECT name, value, labels FROM pipeline_metrics WHERE instance = $1", instance
    )
    return {(name, said(value), canonical(orjson.loads(labels))) for name, value, labels in rows}


def points(line: dict[str, Any]) -> Iterator[Point]:
    """Each number of a `progress` line with its labels: the contract, not Vector's program."""
    for name, value in line.items():
        if name in ("at", "service", "instance", "event"):
            continue
        if isinstance(value, dict):
            for stat, number in value.items():
                if number is not None:
                    yield name, said(number), canonical({"stat": stat})
        elif isinstance(value, list):
            for item in value:
                labels = {key: text for key, text in item.items() if key != "value"}
                yield name, said(item["value"]), canonical(labels)
        elif value is not None:
            yield name, said(value), "{}"


def said(number: float) -> float:
    """Without the last digits: Vector's reader of JSON may miss a double by its last bit."""
    return float(f"{number:.13g}")


def canonical(labels: object) -> str:
    return orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode()
