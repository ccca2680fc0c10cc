"""What Vector's sink does with rows, and what a `progress` line means, written down once more."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson

SINK = "INSERT INTO metrics_in SELECT * FROM jsonb_populate_recordset(NULL::metrics_in, $1)"
PARTITIONS = """
SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'pipeline_metrics'::regclass
ORDER BY 1
"""

Point = tuple[str, float, str]
"""A name, a value, and the labels as JSON with sorted keys."""


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def insert(dsn: str, rows: object) -> None:
    """As the sink does it, under the login that it has."""
    async with connected(dsn) as connection:
        await connection.execute(SINK, orjson.dumps(rows).decode())


async def stored(connection: "asyncpg.Connection[asyncpg.Record]", instance: str) -> set[Point]:
    rows = await connection.fetch(
        "SELECT name, value, labels FROM pipeline_metrics WHERE instance = $1", instance
    )
    return {(name, value, canonical(orjson.loads(labels))) for name, value, labels in rows}


def points(line: dict[str, Any]) -> Iterator[Point]:
    """Each number of a `progress` line with its labels: the contract, not Vector's program."""
    for name, value in line.items():
        if name in ("at", "service", "instance", "event"):
            continue
        if isinstance(value, dict):
            for stat, number in value.items():
                if number is not None:
                    yield name, number, canonical({"stat": stat})
        elif isinstance(value, list):
            for item in value:
                labels = {key: text for key, text in item.items() if key != "value"}
                yield name, item["value"], canonical(labels)
        elif value is not None:
            yield name, value, "{}"


def canonical(labels: object) -> str:
    return orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode()
