"""What the consumer does when Redis is flushed, dies, or loses a reply."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from pipeline import connections
from pipeline.settings import LONGEST_BLOCK, StreamSettings
from pipeline.stream import Entry, Gathering, Rejected
from tests.consuming import (
    GROUP,
    append,
    consume,
    events,
    pending,
    stream_settings,
)
from tests.looking import look
from tests.servers import RedisServer
from tests.waiting import wait_until


@pytest.fixture
def settings(redis_url: str, stream: str) -> StreamSettings:
    return stream_settings(redis_url, stream)


async def test_a_flushed_redis_gets_its_group_again_and_misses_nothing_appended_since(
    own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = stream_settings(own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        await append(redis, "ticks", "A:1")
        flushed = asyncio.Event()

        async def flush_once(_: Sequence[Entry]) -> Sequence[Rejected]:
            if not flushed.is_set():
                await redis.flushall()
                await append(redis, "ticks", "A:2")
                flushed.set()
            return ()

        seen = await consume(settings, lambda seen: len(seen) == 2, flush_once)

    assert [message for _, _, message in seen] == [b"A:1", b"A:2"]
    assert len(events(capsys, "stream.reset")) == 1


async def test_a_flush_during_a_blocked_read_is_survived(own_redis: RedisServer) -> None:
    settings = stream_settings(own_redis.url, "ticks").model_copy(
        update={"block": timedelta(seconds=5)}
    )
    async with look(own_redis.url) as redis:
        consuming = asyncio.ensure_future(consume(settings, lambda seen: len(seen) == 1))
        await wait_until(lambda: _blocked(redis))
        await redis.flushall()
        await append(redis, "ticks", "A:1")

        assert [message for _, _, message in await consuming] == [b"A:1"]


async def _blocked(redis: Any) -> bool:
    info: dict[str, Any] = await redis.info("clients")
    return bool(info["blocked_clients"])


async def test_a_redis_that_dies_and_comes_back_costs_no_entry(own_redis: RedisServer) -> None:
    settings = stream_settings(own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        await redis.config_set("appendfsync", "always")
        await append(redis, "ticks", "A:1", "A:2")

    killed: list[bool] = []

    async def kill_once(batch: Sequence[Entry]) -> Sequence[Rejected]:
        if b"A:1" in (message for _, _, message in batch) and not killed:
            killed.append(True)
            own_redis.kill()  # after the delivery, before the acknowledgement
            own_redis.start()
            async with look(own_redis.url) as again:
                await append(again, "ticks", "A:3")
        return ()

    seen = await consume(settings, lambda seen: any(e[2] == b"A:3" for e in seen), kill_once)

    assert {message for _, _, message in seen} == {b"A:1", b"A:2", b"A:3"}
    async with look(own_redis.url) as redis:
        assert await pending(redis, "ticks") == 0


async def test_a_reply_lost_on_the_wire_is_read_again_from_the_backlog(
    redis: Any, settings: StreamSettings
) -> None:
    await append(redis, settings.stream, "A:1")
    await redis.xgroup_create(settings.stream, GROUP, id="0")
    # Somebody with our name takes delivery and drops the reply, as a cut connection does.
    await redis.xreadgroup(GROUP, settings.consumer, {settings.stream: ">"})
    assert await pending(redis, settings.stream) == 1

    seen = await consume(settings, lambda seen: len(seen) == 1)

    assert [message for _, _, message in seen] == [b"A:1"]


async def test_what_is_in_hand_when_redis_goes_is_handled_at_once_and_delivered_no_second_time(
    own_redis: RedisServer,
) -> None:
    settings = stream_settings(own_redis.url, "ticks")
    deliveries: list[int] = []

    async def bring_it_back(batch: Sequence[Entry]) -> Sequence[Rejected]:
        own_redis.start()
        async with look(own_redis.url) as again:
            [found] = await again.xpending_range("ticks", GROUP, batch[0][0], batch[-1][0], 10)
            deliveries.append(found["times_delivered"])
        return ()

    async with look(own_redis.url) as redis:
        await redis.config_set("appendfsync", "always")
        await append(redis, "ticks", "A:1")
        gathering = Gathering(1000, timedelta(seconds=60), timedelta(milliseconds=5))
        consuming = asyncio.ensure_future(consume(settings, bool, bring_it_back, gathering))
        await wait_until(lambda: _delivered(redis))
    own_redis.kill()
    await consuming

    assert deliveries == [1]
    async with look(own_redis.url) as redis:
        assert await pending(redis, "ticks") == 0


async def test_a_redis_that_hangs_in_a_blocked_read_is_noticed_and_costs_no_entry(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connections, "REPLY_TIMEOUT", 1.0)
    said: list[dict[str, Any]] = []

    def outage() -> bool:
        said.extend(events(capsys, "outage"))
        return bool(said)

    async with look(own_redis.url) as redis:
        settings = stream_settings(own_redis.url, "ticks", block=timedelta(seconds=0.8))
        consuming = asyncio.ensure_future(consume(settings, bool))
        await wait_until(lambda: _blocked(redis))
        own_redis.pause()
        await wait_until(outage)
        own_redis.resume()
        await append(redis, "ticks", "A:1")

        assert [message for _, _, message in await consuming] == [b"A:1"]
    assert said[0]["neighbour"] == "redis"


async def test_the_longest_read_on_an_idle_stream_is_no_outage(
    redis: Any, redis_url: str, stream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A client's own time limit is often as long, and takes it for one."""
    read = tmp_path / "read"
    settings = stream_settings(redis_url, stream, block=LONGEST_BLOCK, heartbeat_file=read)
    consuming = asyncio.ensure_future(consume(settings, bool))
    await wait_until(read.exists)  # its backlog: nothing
    began = monotonic()
    read.unlink()
    await wait_until(read.exists)
    assert monotonic() - began > 0.9 * LONGEST_BLOCK.total_seconds()
    await append(redis, stream, "A:1")
    await consuming

    assert events(capsys, "outage") == []


async def _delivered(redis: Any) -> bool:
    groups = await redis.xinfo_groups("ticks")
    return bool(groups and groups[0]["pending"])
