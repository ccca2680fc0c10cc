"""What a Redis that lost appends gets again from the bridge: the same entries, the same ids."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.tick import id_pair
from tests.bridging import have_appended, load, messages, numbered, publish, reaches, start
from tests.looking import look
from tests.servers import RedisServer
from tests.services import StartService
from tests.waiting import wait_until


async def entries(redis: Any) -> list[Any]:
    found: list[Any] = await redis.xrange("ticks")
    return found


async def test_a_flushed_stream_gets_its_last_entries_again_with_their_ids(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        await publish(redis, "ticks", *numbered(0, 2500))
        await have_appended(redis, "ticks", 2500)
        before = await entries(redis)
        await redis.flushall()
        await bridge.wait_for("stream.behind", entries=2500, appended_again=2500)
        await publish(redis, "ticks", b"A:2500")
        await have_appended(redis, "ticks", 2501)

        after = await entries(redis)
    assert after[:-1] == before
    assert after[-1][1][b"message"] == b"A:2500"
    assert id_pair(after[-1][0]) > id_pair(before[-1][0])


async def test_a_flush_with_no_replay_loses_the_stream_but_ids_still_rise(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks", BRIDGE_REPLAY=0)
    async with look(own_redis.url) as redis:
        await publish(redis, "ticks", *numbered(0, 10))
        await have_appended(redis, "ticks", 10)
        last = (await entries(redis))[-1]
        await redis.flushall()
        await bridge.wait_for("stream.behind", entries=10)
        await publish(redis, "ticks", b"A:10")
        await wait_until(lambda: _ends_with(redis, b"A:10"))
        assert id_pair((await entries(redis))[-1][0]) > id_pair(last[0])


async def test_flushes_under_load_leave_the_stream_complete_and_in_order(
    own_redis: RedisServer, service: StartService
) -> None:
    await start(service, own_redis.url, "ticks")
    async with look(own_redis.url) as redis, load(redis, "ticks") as sent:
        for goal in (1000, 2000, 3000):
            await wait_until(partial(reaches, redis, "ticks", goal))
            await redis.flushall()
    async with look(own_redis.url) as redis:
        await wait_until(lambda: _ends_with(redis, b"A:%d" % sent[-1]))
        assert await messages(redis, "ticks") == numbered(0, sent[-1] + 1)


async def test_a_log_without_its_tail_gets_it_again(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        log = await _log_of(redis)
        await redis.config_set("appendfsync", "always")
        await publish(redis, "ticks", *numbered(0, 20_000))
        await have_appended(redis, "ticks", 20_000)
        before = await entries(redis)
    own_redis.kill()
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 300_000)
    own_redis.start()
    behind = await bridge.wait_for("stream.behind")
    async with look(own_redis.url) as redis:
        await have_appended(redis, "ticks", 20_000)
        await bridge.wait_for("bridge.gap", reason="reconnect")
        await publish(redis, "ticks", b"A:20000")
        await have_appended(redis, "ticks", 20_001)
        after = await entries(redis)
    assert behind["entries"] == behind["appended_again"] > 1000
    assert after[:-1] == before


async def test_a_group_made_again_at_the_start_reads_all_that_came_again(
    own_redis: RedisServer, service: StartService
) -> None:
    await start(service, own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        await redis.xgroup_create("ticks", "writer", id="0", mkstream=True)
        await publish(redis, "ticks", *numbered(0, 100))
        await have_appended(redis, "ticks", 100)
        await redis.flushall()
        await redis.xgroup_create("ticks", "writer", id="0", mkstream=True)
        await have_appended(redis, "ticks", 100)
        [[_, got]] = await redis.xreadgroup("writer", "one", {"ticks": ">"})
    assert [fields[b"message"] for _, fields in got] == numbered(0, 100)


async def _ends_with(redis: Any, message: bytes) -> bool:
    last = await redis.xrevrange("ticks", count=1)
    return bool(last) and last[0][1][b"message"] == message


async def _log_of(redis: Any) -> Path:
    """The file that Redis appends to; only a server on this machine shows it."""
    config = await redis.config_get("dir", "appenddirname", "appendfilename")
    folder = Path(config["dir"]) / config["appenddirname"]
    logs: list[Path] = sorted(folder.glob("*.incr.aof")) if folder.is_dir() else []
    if not logs:
        pytest.skip("Redis keeps its log where this process can't cut it")
    return logs[-1]
