"""api: what it says about the stream, its readers and itself, from a real Redis and PostgreSQL."""

from collections.abc import AsyncIterator
from time import time
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.api_process import NOON, Api, owner_runs, running_api, store, tick
from tests.conftest import Database
from tests.servers import PostgresServer, RedisServer
from tests.services import StartService

ENTRY: dict[Any, Any] = {"channel": "NYSE", "message": "TSLA:723.02"}
NOTHING = {"lag_entries": 0, "lag_seconds": 0.0, "pending": 0, "consumers": 0}
WITHOUT_REDIS = {
    "redis": "away",
    "postgres": "ok",
    "groups": None,
    "stream": None,
    "last_row": "2023-11-15T12:00:00.000005Z",
    "bridge_gaps": None,
    "dead_letters": None,
    "overrun": None,
}


@pytest.fixture
async def api(
    service: StartService, postgres: Database, redis_url: str, stream: str
) -> AsyncIterator[Api]:
    async with running_api(
        service, POSTGRES_DSN=postgres.dsn("api"), REDIS_URL=redis_url, STREAM=stream
    ) as running:
        yield running


@pytest.fixture
async def filled_api(api: Api, postgres: Database) -> Api:
    await store(postgres.connection, [tick(5, "1")])
    return api


async def test_before_the_first_tick_everything_is_empty_and_known(api: Api) -> None:
    assert (await api.get("/api/status")).json == {
        "redis": "ok",
        "postgres": "ok",
        "groups": [{"name": "forwarder", **NOTHING}, {"name": "writer", **NOTHING}],
        "stream": {"length": 0, "appended": 0, "last_id": "0-0"},
        "last_row": None,
        "bridge_gaps": {"count": 0, "last": None},
        "dead_letters": {"bridge": 0, "forwarder": 0, "writer": 0},
        "overrun": {"forwarder": 0, "writer": 0},
    }


async def test_the_lag_of_a_group_is_what_it_has_not_acknowledged(
    api: Api, redis: Redis, stream: str
) -> None:
    now_ms = int(time() * 1000)
    for age in (40, 30, 20):
        await redis.xadd(stream, ENTRY, id=f"{now_ms - age * 1000}-0")
    await redis.xgroup_create(stream, "writer", "0")

    assert await _writer(api) == (3, _about(40), 0, 0)

    await redis.xreadgroup("writer", "writer-1", {stream: ">"}, count=2)
    assert await _writer(api) == (3, _about(40), 2, 1)

    await redis.xack(stream, "writer", f"{now_ms - 40_000}-0")
    assert await _writer(api) == (2, _about(30), 1, 1)

    await redis.xack(stream, "writer", f"{now_ms - 30_000}-0")
    assert await _writer(api) == (1, _about(20), 0, 1)

    await redis.xreadgroup("writer", "writer-1", {stream: ">"}, noack=True)
    assert await _writer(api) == (0, 0.0, 0, 1)


async def test_a_group_that_does_not_exist_yet_has_everything_before_it(
    api: Api, redis: Redis, stream: str
) -> None:
    for age in (40, 20):
        await redis.xadd(stream, ENTRY, id=f"{int((time() - age) * 1000)}-0")

    assert await _writer(api) == (2, _about(40), 0, 0)


async def test_a_lag_that_redis_cannot_count_is_null(api: Api, redis: Redis, stream: str) -> None:
    ids = [await redis.xadd(stream, ENTRY) for _ in range(5)]
    await redis.xgroup_create(stream, "writer", ids[1])
    await redis.xdel(stream, ids[3])
    assert (await _writer(api))[0] is None

    await redis.xgroup_setid(stream, "writer", ids[4])
    assert (await _writer(api))[0] == 0  # this much is certain


async def test_gaps_dead_letters_and_the_newest_row_are_told(
    api: Api, redis: Redis, stream: str, postgres: Database
) -> None:
    await redis.xadd(f"{{{stream}}}:dead:writer", {"reason": "price is empty"})
    await redis.hset(f"{{{stream}}}:overrun", mapping={"writer": 70, "somebody": 1})
    for begin in (NOON, NOON + 10_000_000):
        fields: dict[Any, Any] = {
            "from_us": begin,
            "to_us": begin + 1_500_000,
            "seconds": "1.500000",
            "reason": "connection lost",
        }
        await redis.xadd(f"{{{stream}}}:gaps", fields)
    await store(postgres.connection, [tick(5, "1"), tick(9, "2", "AAPL"), tick(7, "3", "ZZZ")])

    status = (await api.get("/api/status")).json

    assert status["dead_letters"] == {"bridge": 0, "forwarder": 0, "writer": 1}
    assert status["overrun"] == {"forwarder": 0, "writer": 70}
    assert status["bridge_gaps"] == {
        "count": 2,
        "last": {
            "start_time": "2023-11-15T12:00:10.000000Z",
            "end_time": "2023-11-15T12:00:11.500000Z",
            "seconds": pytest.approx(1.5),
            "reason": "connection lost",
        },
    }
    assert status["last_row"] == "2023-11-15T12:00:00.000009Z"


async def test_without_redis_the_rest_is_still_known(
    service: StartService, postgres: Database, own_redis: RedisServer
) -> None:
    await store(postgres.connection, [tick(5, "1")])
    async with running_api(
        service, POSTGRES_DSN=postgres.dsn("api"), REDIS_URL=own_redis.url
    ) as api:
        assert (await api.get("/api/status")).json["redis"] == "ok"
        own_redis.pause()
        await _assert_without_redis(api)
        own_redis.resume()
        assert (await api.get("/api/status")).json["redis"] == "ok"
        own_redis.kill()
        await _assert_without_redis(api)


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("{}", None),
        ("{{{}}}:gaps", None),
        ("{{{}}}:dead:writer", None),
        ("{{{}}}:overrun", None),
        ("{{{}}}:gaps", {"not": "a gap"}),
        ("{{{}}}:gaps", {"from_us": "soon", "to_us": "later"}),
        ("{{{}}}:gaps", {"from_us": "9" * 30, "to_us": "9" * 30}),
    ],
)
async def test_a_key_that_is_not_as_it_must_be_is_said_and_breaks_nothing(
    filled_api: Api, redis: Redis, stream: str, key: str, entry: dict[Any, Any] | None
) -> None:
    name = key.format(stream)
    await (redis.xadd(name, entry) if entry else redis.set(name, "x"))

    status = await filled_api.get("/api/status")

    assert status.status == 200
    assert status.json == {**WITHOUT_REDIS, "redis": "unusable"}
    assert (await filled_api.process.wait_for("outage", neighbour="redis"))["reason"]
    await redis.delete(name)
    assert (await filled_api.get("/api/status")).json["redis"] == "ok"


async def test_a_group_with_a_name_that_is_no_text_is_somebody_elses(
    api: Api, redis: Redis, stream: str
) -> None:
    await redis.xgroup_create(stream, b"\xff", "0", mkstream=True)

    assert [group["name"] for group in (await api.get("/api/status")).json["groups"]] == [
        "forwarder",
        "writer",
    ]


@pytest.mark.parametrize("what", ["timestamp TO received", "TO prices"])
async def test_a_table_that_cannot_be_read_is_not_ready(
    service: StartService, own_postgres: PostgresServer, redis_url: str, what: str
) -> None:
    async with running_api(
        service, POSTGRES_DSN=own_postgres.dsn("api"), REDIS_URL=redis_url
    ) as api:
        assert (await api.get("/api/health/ready")).json["postgres"] == "ok"
        await owner_runs(own_postgres, f"ALTER TABLE stock_prices RENAME {what}")

        ready = await api.get("/api/health/ready")
        status = await api.get("/api/status")

        assert (ready.status, ready.problem["title"]) == (503, "Not ready")
        assert ready.problem["postgres"] == "unusable"
        assert (status.status, status.json["postgres"], status.json["redis"]) == (
            200,
            "unusable",
            "ok",
        )
        assert "does not exist" in (await api.process.wait_for("outage"))["reason"]


async def _assert_without_redis(api: Api) -> None:
    assert (await api.get("/api/status")).json == WITHOUT_REDIS
    ready = await api.get("/api/health/ready")
    assert (ready.status, ready.json["redis"]) == (200, "away")


async def _writer(api: Api) -> tuple[Any, ...]:
    groups = (await api.get("/api/status")).json["groups"]
    (writer,) = (group for group in groups if group["name"] == "writer")
    return tuple(writer[key] for key in ("lag_entries", "lag_seconds", "pending", "consumers"))


def _about(seconds: float) -> Any:
    """Tests are slow now and then, never fast."""
    return pytest.approx(seconds + 4, abs=4.1)
