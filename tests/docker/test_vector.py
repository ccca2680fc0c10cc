"""Vector among the containers: its program in the image that compose uses, and rows from all."""

import asyncio
from datetime import UTC, datetime

import orjson
import pytest

from tests.docker.cli import docker
from tests.docker.stack import Stack
from tests.metric_rows import DATED, GARBAGE, connected, points
from tests.vrl import in_the_image, rows
from tests.waiting import wait_until

SERVICES = "SELECT DISTINCT service FROM pipeline_metrics"
ARRIVED = "SELECT value FROM pipeline_metrics WHERE instance = 'a long line' AND name = 'rows'"
REFUSED = """
SELECT max(value) FROM pipeline_metrics
WHERE service = 'vector' AND name = 'errors' AND labels->>'from' LIKE '%-bridge-1'
"""
DOCKER = "http://socket-proxy:2375"


def test_its_program_takes_our_lines_and_refuses_others() -> None:
    line = f'{{{DATED},"rows":1,"copy_seconds":{{"p50":0.5}},"errors":[{{"kind":"a","value":2}}]}}'
    [made, *refused] = rows([line, *GARBAGE.values()], in_the_image())
    assert made
    found = {(row["name"], row["value"], orjson.dumps(row["labels"]).decode()) for row in made}
    assert found == set(points(orjson.loads(line)))
    assert refused == [None] * len(GARBAGE)


@pytest.fixture(name="collecting")
def a_stack_with_vector(stack: Stack) -> Stack:
    if "vector" in stack.left_out or "socket-proxy" in stack.left_out:
        pytest.skip("no image of Vector or of the socket proxy here")
    return stack


async def test_each_service_of_ours_has_rows(collecting: Stack) -> None:
    wanted = {"generator", "bridge", "forwarder", "writer"}
    async with connected(collecting.owner_dsn) as connection:

        async def there() -> bool:
            return {name for (name,) in await connection.fetch(SERVICES)} >= wanted

        await wait_until(there, 60.0)


async def test_a_line_that_docker_splits_is_joined_and_garbage_is_counted(
    collecting: Stack,
) -> None:
    head = {"at": datetime.now(UTC), "service": "bridge", "instance": "a long line"}
    line = orjson.dumps(head | {"event": "progress", "text": "x" * 40_000, "rows": 5}).decode()
    bridge = collecting.one("bridge").id
    await asyncio.to_thread(say, bridge, "Segmentation fault")
    await asyncio.to_thread(say, bridge, line)
    async with connected(collecting.owner_dsn) as connection:
        await wait_until(lambda: connection.fetchval(ARRIVED), 30.0)
        await wait_until(lambda: connection.fetchval(REFUSED), 30.0)


def test_vector_may_ask_docker_for_containers_and_logs_and_nothing_else(collecting: Stack) -> None:
    vector = collecting.one("vector").id
    bridge = collecting.one("bridge").id
    for allowed in ("containers/json", f"containers/{bridge}/json", "version"):
        assert docker("exec", vector, "wget", "-qO-", f"{DOCKER}/{allowed}")
    for refused in ("images/json", "info", f"containers/{bridge}/archive?path=/", "secrets"):
        assert "403" in failed(vector, f"{DOCKER}/{refused}"), refused
    assert "405" in failed(vector, "--post-data=", f"{DOCKER}/containers/{bridge}/stop")


def say(container: str, line: str) -> None:
    """As if its first process had written it."""
    docker("exec", container, "python", "-c", f"open('/proc/1/fd/1', 'w').write({line!r} + '\\n')")


def failed(container: str, *words: str) -> str:
    script = 'wget -qO- "$@" 2>&1 && echo went through'
    return docker("exec", container, "sh", "-c", f"{script}; true", "sh", *words)
