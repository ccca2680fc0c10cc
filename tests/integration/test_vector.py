"""Real Vector with the configuration that compose mounts, reading files: lines in, rows out."""

import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import Database
from tests.metric_rows import GARBAGE, Connection, connected, points, stored
from tests.servers import PostgresServer
from tests.vector import CONFIG, PROGRAM, Vector
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(not PROGRAM, reason="no vector on PATH, and no VECTOR_BIN")

FOR_CHECKS = {
    "VECTOR_DANGEROUSLY_ALLOW_ENV_VAR_INTERPOLATION": "true",
    "COMPOSE_PROJECT_NAME": "tick-pipeline",
    "POSTGRES_DB": "pipeline",
    "VECTOR_LOGS": "/logs",
}
REFUSED = """
SELECT labels->>'from', max(value) FROM pipeline_metrics
WHERE service = 'vector' AND name = 'errors' AND labels->>'kind' = 'refused' GROUP BY 1
"""


@pytest.fixture
async def vector(postgres: Database, tmp_path: Path) -> AsyncIterator[Vector]:
    await postgres.connection.execute("TRUNCATE pipeline_metrics")
    vector = Vector(tmp_path, postgres.dsn("vector"))
    yield vector
    vector.kill()


@pytest.mark.parametrize("source", ["containers", "files"])
@pytest.mark.parametrize("check", [["validate", "--no-environment", "--deny-warnings"], ["test"]])
def test_vector_finds_no_fault_in_the_configuration(source: str, check: list[str]) -> None:
    files = [str(CONFIG / "vector.yaml"), str(CONFIG / f"{source}.yaml")]
    done = subprocess.run(  # noqa: S603  # found on PATH, or named by VECTOR_BIN
        [str(PROGRAM), *check, *files], env=FOR_CHECKS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_lines_become_rows_and_garbage_is_counted(postgres: Database, vector: Vector) -> None:
    line = progress(
        rows=7, lag_seconds=None, copy_seconds={"count": 2, "p50": 0.5, "p95": None},
        errors=[{"kind": "outage:redis", "value": 3}],
    )  # fmt: skip
    vector.start()
    garbage = [text for name, text in GARBAGE.items() if name not in ("empty", "a NUL")]
    broken: list[str | bytes] = [b"\xff\xfe{}", b"\0" * 5, "x" * 65_500]
    vector.write("writer", *garbage, *broken, line)
    vector.write("api", "not ours", progress(instance="b"))
    vector.write("nginx", "nobody reads this", progress(instance="c"))
    await arrived(postgres.connection, line)

    async def counted() -> bool:
        found = {Path(name).stem: n for name, n in await postgres.connection.fetch(REFUSED)}
        # A megabyte is left out by the file source, which says so itself.
        return found == {"writer": len(garbage) + len(broken) - 2, "api": 1}

    await wait_until(counted, 20.0)
    assert not await stored(postgres.connection, "c")
    assert "Segmentation fault" in vector.output
    assert vector.stop() == 0


async def test_vector_killed_goes_on_where_it_was_and_stores_nothing_twice(
    postgres: Database, vector: Vector
) -> None:
    lines = [progress(rows=number, instance="k") for number in range(300)]
    vector.start()
    vector.write("writer", *lines[:100])
    await arrived(postgres.connection, lines[0])
    vector.write("writer", *lines[100:200])
    vector.kill()
    vector.write("writer", *lines[200:])
    vector.start()
    await wait_until(lambda: count_is(postgres.connection, "k", 300), 20.0)


@pytest.mark.timeout(180)
async def test_postgres_away_for_a_while_costs_no_row(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    vector = Vector(tmp_path, own_postgres.dsn("vector"))
    try:
        vector.start()
        first = progress(rows=0, instance="p")
        vector.write("bridge", first)
        async with connected(own_postgres.owner_dsn) as connection:
            await arrived(connection, first)
        own_postgres.kill()
        vector.write("bridge", *(progress(rows=n, instance="p") for n in range(1, 2000)))
        await wait_until(lambda: "error" in vector.output.lower(), 60.0, "Vector misses it")
        own_postgres.start()
        async with connected(own_postgres.owner_dsn) as connection:
            await wait_until(lambda: count_is(connection, "p", 2000), 60.0)
    finally:
        vector.kill()


def progress(instance: str = "a", **fields: object) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    head = {"at": at, "service": "writer", "instance": instance, "event": "progress"}
    return head | {"id": uuid4().hex} | (fields or {"rows": 1})


async def arrived(connection: Connection, line: dict[str, Any]) -> None:
    numbers = {name: value for name, value in line.items() if name != "id"}
    expected = set(points(numbers))

    async def there() -> bool:
        return await stored(connection, line["instance"]) >= expected

    await wait_until(there, 30.0)


async def count_is(connection: Connection, instance: str, number: int) -> bool:
    query = "SELECT count(*) FROM pipeline_metrics WHERE instance = $1"
    return bool(await connection.fetchval(query, instance) == number)
