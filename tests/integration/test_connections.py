"""pipeline.connections on a real Redis: what counts as an outage, and that nothing is repeated."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from pipeline import connections
from pipeline.connections import connect, redis_outage
from pipeline.outage import Outage
from pipeline.settings import Settings
from tests.servers import RedisServer
from tests.waiting import wait_until


def settings_for(url: str) -> Settings:
    return Settings.model_validate({"redis_url": url})


@pytest.fixture
async def client(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    monkeypatch.setattr(connections, "REPLY_TIMEOUT", 0.5)
    async with connect(settings_for(own_redis.url)) as client:
        yield client


async def append(client: Redis) -> None:
    with redis_outage():
        await client.xadd("ticks", {"channel": "NYSE", "message": "TSLA:1"})


async def test_a_redis_that_is_gone_is_an_outage_and_works_again_later(
    own_redis: RedisServer, client: Redis
) -> None:
    await append(client)
    own_redis.kill()
    for _ in range(2):
        with pytest.raises(Outage, match="redis: "):
            await append(client)
    own_redis.start()
    await append(client)


async def test_a_command_that_got_no_answer_is_not_repeated(
    own_redis: RedisServer, client: Redis
) -> None:
    await append(client)
    own_redis.pause()
    with pytest.raises(Outage):
        await append(client)
    own_redis.resume()
    with redis_outage():
        assert await client.xlen("ticks") == 2


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [("maxmemory", "1", "OOM|used memory"), ("min-replicas-to-write", "1", "NOREPLICAS")],
)
async def test_a_redis_that_refuses_writes_for_now_is_an_outage(
    client: Redis, option: str, value: str, reason: str
) -> None:
    await client.config_set(option, value)
    with pytest.raises(Outage, match=reason):
        await append(client)
    await client.config_set(option, "0")
    await append(client)


async def test_a_redis_that_runs_a_long_script_is_an_outage(
    own_redis: RedisServer, client: Redis
) -> None:
    await client.config_set("busy-reply-threshold", "1")
    async with connect(settings_for(own_redis.url)) as other:
        script = asyncio.ensure_future(cast("Any", other).eval("while true do end", 0))

        async def is_busy() -> bool:
            try:
                with redis_outage():
                    await client.ping()
            except Outage as outage:
                return outage.reason.startswith("BUSY")
            return False

        await wait_until(is_busy)
        await client.script_kill()
        with pytest.raises(ResponseError):
            await script
    await append(client)


async def test_a_replica_is_an_outage(client: Redis) -> None:
    await client.replicaof("127.0.0.1", "1")
    with pytest.raises(Outage):
        await append(client)


async def test_missing_rights_and_a_wrong_password_are_outages(
    own_redis: RedisServer, client: Redis
) -> None:
    await client.acl_setuser("reader", enabled=True, passwords=["+right"], commands=["+get"])
    address = own_redis.url.rpartition("@")[2].removeprefix("redis://")
    for password in ("right", "wrong"):
        async with connect(settings_for(f"redis://reader:{password}@{address}")) as reader:
            with pytest.raises(Outage):
                await append(reader)


async def test_a_command_that_makes_no_sense_is_a_bug(client: Redis) -> None:
    await client.set("ticks", "not a stream")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await append(client)


async def test_replies_are_bytes_in_the_older_protocol(client: Redis) -> None:
    await append(client)
    entries = await client.xrange("ticks")
    assert entries
    assert entries[0][1] == {b"channel": b"NYSE", b"message": b"TSLA:1"}
    assert client.connection_pool.connection_kwargs["protocol"] == 2
