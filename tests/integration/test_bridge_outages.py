"""What the bridge does when it, its connections or Redis die, and what it says then."""

import signal
from typing import Any

import pytest

from bridge.script import MAX_MESSAGE
from bridge.subscription import PING_EVERY, UNANSWERED_LIMIT
from tests.bridging import another, have_appended, messages, numbered, publish, start
from tests.looking import look
from tests.servers import RedisServer
from tests.services import Service, StartService
from tests.waiting import wait_until


@pytest.fixture
async def bridge(service: StartService, redis_url: str, stream: str) -> Service:
    return await start(service, redis_url, stream)


async def test_a_killed_bridge_comes_back_and_says_how_long_nobody_listened(
    bridge: Service, service: StartService, redis: Any, redis_url: str, stream: str
) -> None:
    await publish(redis, stream, *numbered(0, 100))
    await have_appended(redis, stream, 100)
    bridge.kill()
    await publish(redis, stream, b"A:1000000")  # nobody hears this one
    again = await start(service, redis_url, stream)
    await publish(redis, stream, *numbered(100, 200))
    await have_appended(redis, stream, 200)

    assert await messages(redis, stream) == numbered(0, 200)
    gap = await again.wait_for("bridge.gap", reason="start")
    assert 0 < gap["seconds"] < 60
    [last] = await wait_until(lambda: redis.xrange(f"{{{stream}}}:gaps"))
    assert float(last[1][b"seconds"]) == pytest.approx(gap["seconds"], abs=1e-5)


async def test_a_cut_subscription_is_made_again_and_its_gap_is_said(
    bridge: Service, redis: Any, stream: str
) -> None:
    await publish(redis, stream, *numbered(0, 10))
    await have_appended(redis, stream, 10)
    for client in await redis.client_list(_type="pubsub"):
        await redis.client_kill_filter(_id=client["id"])
    gap = await bridge.wait_for("bridge.gap", reason="reconnect")
    await publish(redis, stream, *numbered(10, 20))
    await have_appended(redis, stream, 20)

    assert gap["seconds"] > 0
    assert await messages(redis, stream) == numbered(0, 20)


async def test_cut_append_connections_neither_lose_nor_repeat_a_message(
    bridge: Service, redis: Any, stream: str
) -> None:
    killed = 0
    for begin in range(0, 20_000, 1000):
        await publish(redis, stream, *numbered(begin, begin + 1000))
        mine = await redis.client_id()
        for client in await redis.client_list(_type="normal"):
            if client["id"] != str(mine) and client["cmd"] in ("evalsha", "script|load"):
                killed += int(await redis.client_kill_filter(_id=client["id"]))
    await have_appended(redis, stream, 20_000)

    assert await messages(redis, stream) == numbered(0, 20_000)
    assert killed > 5
    assert bridge.running


async def test_a_second_bridge_waits_and_a_paused_one_is_fenced(
    bridge: Service, service: StartService, redis: Any, redis_url: str, stream: str
) -> None:
    second = another(service, redis_url, stream)
    await second.wait_for("lease.held")
    bridge.signal(signal.SIGSTOP)
    await second.wait_for("lease.taken")
    await publish(redis, stream, *numbered(0, 100))
    await have_appended(redis, stream, 100)
    bridge.signal(signal.SIGCONT)
    await bridge.wait_for("lease.lost")
    await bridge.wait_for("lease.held")
    await publish(redis, stream, *numbered(100, 200))
    await have_appended(redis, stream, 200)

    assert await messages(redis, stream) == numbered(0, 200)


async def test_a_bridge_that_was_asleep_reads_what_waited_for_it(
    bridge: Service, redis: Any, stream: str
) -> None:
    bridge.signal(signal.SIGSTOP)
    await publish(redis, stream, *numbered(0, 1000))
    await wait_until(lambda: _slept_long(redis), limit=30)
    bridge.signal(signal.SIGCONT)
    await have_appended(redis, stream, 1000)

    assert await messages(redis, stream) == numbered(0, 1000)
    assert not bridge.find("bridge.gap", reason="reconnect")


async def _slept_long(redis: Any) -> bool:
    """Redis heard nothing of it for longer than it would let Redis be silent."""
    limit = PING_EVERY * (UNANSWERED_LIMIT + 1)
    subscribers = await redis.client_list(_type="pubsub")
    return any(int(each["idle"]) > limit for each in subscribers)


async def test_a_full_redis_is_waited_out_and_the_oldest_messages_go_first(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks", BRIDGE_BUFFER=1000)
    async with look(own_redis.url) as redis:
        await redis.config_set("maxmemory", "1")
        await publish(redis, "ticks", b"A:0")
        await bridge.wait_for("outage", neighbour="redis")
        for begin in range(1, 5001, 100):
            await publish(redis, "ticks", *numbered(begin, begin + 100))
        overflow = await bridge.wait_for("bridge.overflow")
        await redis.config_set("maxmemory", "100mb")
        await bridge.wait_for("outage.over")
        await publish(redis, "ticks", b"A:9999")
        await wait_until(lambda: _ends_with(redis, b"A:9999"))
        await bridge.terminate()

        kept = await messages(redis, "ticks")
    final = [event for event in bridge.events if event["event"] == "progress"][-1]
    assert overflow["limit"] == 1000
    assert kept[0] == b"A:0"  # was in flight, not in the buffer
    assert kept[1:-1] == numbered(5001 - len(kept[1:-1]), 5001)  # the newest, without a hole
    assert len(kept) + final["dropped"] == final["received"] == 5002


async def _ends_with(redis: Any, message: bytes) -> bool:
    last = await redis.xrevrange("ticks", count=1)
    return bool(last) and last[0][1][b"message"] == message


async def test_messages_too_long_do_not_fill_redis(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        room = 32 << 20
        await redis.config_set("maxmemory", (await redis.info("memory"))["used_memory"] + room)
        size = 64 << 10
        count = 2 * room // size  # twice as much as there is room for
        for begin in range(count):
            await publish(redis, "ticks", b"x" * size)
            if begin % 50 == 0:  # what waits to be read has its own limit, and isn't what is tested
                await publish(redis, "ticks", b"A:1")
                await have_appended(redis, "ticks", 1 + begin // 50)
        await publish(redis, "ticks", b"A:1")
        await have_appended(redis, "ticks", 2 + count // 50)
        assert await redis.xlen("{ticks}:dead:bridge") == count
    assert bridge.running


async def test_a_message_too_long_is_not_forgotten_by_a_full_redis(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        await redis.config_set("maxmemory", "1")
        await publish(redis, "ticks", b"x" * (MAX_MESSAGE + 1))
        await bridge.wait_for("outage", neighbour="redis")
        await redis.config_set("maxmemory", "100mb")
        await bridge.wait_for("dead_letter")

        assert await redis.xlen("{ticks}:dead:bridge") == 1


async def test_a_full_redis_is_still_trimmed_or_it_would_stay_full(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        await publish(redis, "ticks", *numbered(0, 100))
        await have_appended(redis, "ticks", 100)
        for group in ("forwarder", "writer"):
            await redis.xgroup_create("ticks", group, id="0")
        await redis.config_set("maxmemory", "1")
        await publish(redis, "ticks", b"A:100")
        # Its pauses grow longer than its lease: it has to take it again in the full Redis.
        await bridge.wait_for("outage", neighbour="redis")
        await bridge.wait_for("lease.lost")
        for group in ("forwarder", "writer"):
            await redis.xreadgroup(group, "one", {"ticks": ">"}, noack=True)

        await wait_until(lambda: _length_is(redis, 1))
        await redis.config_set("maxmemory", "100mb")
        await have_appended(redis, "ticks", 101)


async def _length_is(redis: Any, length: int) -> bool:
    return bool(await redis.xlen("ticks") == length)


async def test_a_redis_that_dies_and_comes_back_keeps_what_was_appended(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        await redis.config_set("appendfsync", "always")
        await publish(redis, "ticks", *numbered(0, 1000))
        await have_appended(redis, "ticks", 1000)
    own_redis.kill()
    await bridge.wait_for("outage", neighbour="redis")
    own_redis.start()
    await bridge.wait_for("bridge.gap", reason="reconnect")
    async with look(own_redis.url) as redis:
        await publish(redis, "ticks", *numbered(1000, 2000))
        await have_appended(redis, "ticks", 2000)
        assert await messages(redis, "ticks") == numbered(0, 2000)


async def test_a_redis_that_wants_a_replica_first_is_waited_out(
    own_redis: RedisServer, service: StartService
) -> None:
    """How a cut-off master is kept from taking what its successor never sees."""
    bridge = await start(service, own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        await publish(redis, "ticks", *numbered(0, 10))
        await have_appended(redis, "ticks", 10)
        await redis.config_set("min-replicas-to-write", "1")
        await publish(redis, "ticks", *numbered(10, 20))
        await bridge.wait_for("outage", reason=lambda text: "NOREPLICAS" in text)
        await redis.config_set("min-replicas-to-write", "0")
        await have_appended(redis, "ticks", 20)

        assert await messages(redis, "ticks") == numbered(0, 20)


async def test_somebody_elses_entry_is_said_and_ours_follow_it(
    bridge: Service, redis: Any, stream: str
) -> None:
    await publish(redis, stream, b"A:1")
    await have_appended(redis, stream, 1)
    await redis.xadd(stream, {"foo": "bar"})
    await publish(redis, stream, b"A:2")
    await have_appended(redis, stream, 3)

    await bridge.wait_for("stream.foreign", entries=1)
    assert [fields.get(b"message") for _, fields in await redis.xrange(stream)] == [
        b"A:1", None, b"A:2",
    ]  # fmt: skip


async def test_somebody_elses_entries_cost_us_none_of_ours(
    bridge: Service, redis: Any, stream: str
) -> None:
    for begin in range(0, 3000, 10):
        await publish(redis, stream, *numbered(begin, begin + 10))
        await redis.xadd(stream, {"foo": "bar"})
    await have_appended(redis, stream, 3300)

    found = [fields.get(b"message") for _, fields in await redis.xrange(stream)]
    assert [message for message in found if message] == numbered(0, 3000)
    await bridge.wait_for("progress", appended=3000)
