"""read_lag(): what a group has still to do, told of a real Redis's own books."""

from collections.abc import AsyncIterator
from time import time

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.connections import connect
from pipeline.lag import read_lag
from tests.consuming import stream_settings
from tests.ticks import append, entries, ids, numbered

GROUP = "writer"


@pytest.fixture
async def client(redis_url: str, stream: str) -> AsyncIterator[Redis]:
    """As services have it."""
    async with connect(stream_settings(redis_url, stream)) as client:
        yield client


@pytest.fixture
async def waiting(redis: Redis, stream: str) -> list[bytes]:
    """Ten entries, the first 100 s old, the next 99 and so on; nobody has read any."""
    first = time() - 100
    old = [entries(["A:1"], first_us=int((first + n) * 1e6))[0] for n in range(10)]
    await append(redis, stream, old)
    await redis.xgroup_create(stream, GROUP, id="0")
    return ids(old)


async def about(client: Redis, stream: str, entries: int | None, seconds: float) -> None:
    told = await read_lag(client, stream, GROUP)
    assert told == {"lag_entries": entries, "lag_seconds": pytest.approx(seconds, abs=5)}


async def read(redis: Redis, stream: str, count: int) -> None:
    await redis.xreadgroup(GROUP, "one", {stream: ">"}, count=count)


async def test_entries_count_until_they_are_acknowledged(
    client: Redis, redis: Redis, stream: str, waiting: list[bytes]
) -> None:
    await about(client, stream, 10, 100)
    await read(redis, stream, 6)
    await about(client, stream, 10, 100)
    await redis.xack(stream, GROUP, *waiting[:2])
    await about(client, stream, 8, 98)
    await redis.xack(stream, GROUP, *waiting[2:6])
    await about(client, stream, 4, 94)
    await read(redis, stream, 4)
    await redis.xack(stream, GROUP, *waiting[6:])
    assert await read_lag(client, stream, GROUP) == {"lag_entries": 0, "lag_seconds": 0.0}


async def test_trimming_what_was_acknowledged_changes_nothing(
    client: Redis, redis: Redis, stream: str, waiting: list[bytes]
) -> None:
    await read(redis, stream, 6)
    await redis.xack(stream, GROUP, *waiting[:6])
    await redis.xtrim(stream, minid=waiting[5].decode(), approximate=False)
    await about(client, stream, 4, 94)


async def test_where_redis_lost_count_the_age_is_known_and_the_end_is_zero(
    client: Redis, redis: Redis, stream: str, waiting: list[bytes]
) -> None:
    await redis.xdel(stream, waiting[5])
    [group] = await redis.xinfo_groups(stream)
    assert group["lag"] is None
    await about(client, stream, None, 100)

    await read(redis, stream, 3)
    await redis.xack(stream, GROUP, *waiting[:3])
    await about(client, stream, None, 97)

    await read(redis, stream, 10)
    await about(client, stream, 6, 97)
    await redis.xack(stream, GROUP, *waiting)
    assert await read_lag(client, stream, GROUP) == {"lag_entries": 0, "lag_seconds": 0.0}


async def test_an_entry_from_the_future_is_of_no_age(
    client: Redis, redis: Redis, stream: str
) -> None:
    await append(redis, stream, entries(numbered(3), first_us=int((time() + 3600) * 1e6)))
    await redis.xgroup_create(stream, GROUP, id="0")
    assert await read_lag(client, stream, GROUP) == {"lag_entries": 3, "lag_seconds": 0.0}


async def test_without_a_stream_or_a_group_nothing_is_known(
    client: Redis, redis: Redis, stream: str
) -> None:
    with pytest.raises(RedisError):
        await read_lag(client, stream, GROUP)
    await append(redis, stream, entries(numbered(3)))
    with pytest.raises(RedisError):
        await read_lag(client, stream, GROUP)


async def test_what_is_deleted_before_it_is_read_is_nobody_s_work(
    client: Redis, redis: Redis, stream: str, waiting: list[bytes]
) -> None:
    await read(redis, stream, 9)
    await redis.xack(stream, GROUP, *waiting[:9])
    await redis.xdel(stream, waiting[9])
    [group] = await redis.xinfo_groups(stream)
    assert group["lag"] is None
    assert await read_lag(client, stream, GROUP) == {"lag_entries": 0, "lag_seconds": 0.0}
