"""The bridge as a real process: what is published is in the stream, once, in order."""

import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bridge.ids import id_pair, id_us
from tests.looking import look
from tests.servers import RedisServer
from tests.services import Service, StartService
from tests.waiting import wait_until

CHANNEL = "NYSE-of-a-test"


@pytest.fixture
async def bridge(service: StartService, redis_url: str, stream: str) -> Service:
    return await start(service, redis_url, stream)


async def start(service: StartService, url: str, stream: str, **more: object) -> Service:
    """A bridge that has the lease and hears the channel."""
    bridge = service("bridge", REDIS_URL=url, STREAM=stream, CHANNELS=_channel(stream), **more)
    await bridge.wait_for("lease.taken")
    return bridge


def _channel(stream: str) -> str:
    return f"{CHANNEL}-{stream}"  # pub/sub knows no databases: each test has its own market


async def publish(redis: Any, stream: str, *messages: bytes) -> None:
    async with redis.pipeline(transaction=False) as batch:
        for message in messages:
            batch.publish(_channel(stream), message)
        await batch.execute()


async def messages(redis: Any, stream: str) -> list[bytes]:
    return [fields[b"message"] for _, fields in await redis.xrange(stream)]


async def appended(redis: Any, stream: str) -> int:
    if not await redis.exists(stream):
        return 0
    info: dict[str, Any] = await redis.xinfo_stream(stream)
    return int(info["entries-added"])


async def have_appended(redis: Any, stream: str, count: int) -> None:
    async def enough() -> bool:
        return await appended(redis, stream) >= count

    await wait_until(enough, what=f"{count} entries appended")


def numbered(begin: int, end: int) -> list[bytes]:
    return [b"A:%d" % number for number in range(begin, end)]


async def test_every_message_is_appended_in_order_as_it_was_published(
    bridge: Service, redis: Any, stream: str
) -> None:
    odd = [b"", b"no colon", b"\x00\xff", "é:1".encode(), b"A:B:1"]
    sent = [*numbered(1, 3000), *odd, *numbered(3000, 5000)]
    await publish(redis, stream, *sent)
    await have_appended(redis, stream, len(sent))

    entries = await redis.xrange(stream)
    assert [fields for _, fields in entries] == [
        {b"channel": _channel(stream).encode(), b"message": message} for message in sent
    ]
    assert bridge.running


async def test_an_entry_id_is_the_time_of_receipt_and_only_rises(
    bridge: Service, redis: Any, stream: str
) -> None:
    before = time.time_ns() // 1000
    await publish(redis, stream, *numbered(0, 3000))
    await have_appended(redis, stream, 3000)
    after = time.time_ns() // 1000

    ids = [entry_id for entry_id, _ in await redis.xrange(stream)]
    pairs = [id_pair(entry_id) for entry_id in ids]
    assert pairs == sorted(set(pairs))
    assert before <= id_us(ids[0])
    assert id_us(ids[-1]) <= after
    assert all(sequence < 1 << 20 for _, sequence in pairs)
    assert bridge.running


@pytest.mark.parametrize("size", [65_537, 1_000_000, 20_000_000])
async def test_a_message_too_long_goes_cut_to_the_dead_letters_and_its_neighbours_arrive(
    bridge: Service, redis: Any, stream: str, size: int
) -> None:
    await publish(redis, stream, b"A:1", b"x" * size, b"A:2")
    await have_appended(redis, stream, 2)

    assert await messages(redis, stream) == [b"A:1", b"A:2"]
    [(_, letter)] = await redis.xrange(f"{{{stream}}}:dead:bridge")
    assert letter[b"message"] == b"x" * 65_536
    assert letter[b"reason"] == b"message of %d bytes is longer than 65536" % size
    assert bridge.running


async def test_a_stop_appends_what_was_received_and_gives_the_lease_back(
    bridge: Service, redis: Any, stream: str
) -> None:
    await publish(redis, stream, *numbered(0, 10_000))
    # All is received once a later message is: pub/sub keeps the order.
    await have_appended(redis, stream, 1)
    await wait_until(lambda: _received(redis, stream))
    code = await bridge.terminate()

    last = bridge.find("service.stopped")
    final = [event for event in bridge.events if event["event"] == "progress"][-1]
    assert (code, last is not None) == (0, True)
    assert final["appended"] == final["received"] == 10_000
    assert await appended(redis, stream) == 10_000
    assert not await redis.exists(f"{{{stream}}}:lease")


async def _received(redis: Any, stream: str) -> bool:
    """Redis has written everything to the subscriber's socket."""
    clients = await redis.client_list(_type="pubsub")
    return all(int(client["omem"]) == 0 for client in clients) and bool(stream)


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
    second = service("bridge", REDIS_URL=redis_url, STREAM=stream, CHANNELS=_channel(stream))
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


async def test_a_flushed_stream_goes_on_and_the_loss_is_said(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        await publish(redis, "ticks", *numbered(0, 10))
        await have_appended(redis, "ticks", 10)
        [(last_id, _)] = await redis.xrevrange("ticks", count=1)
        await redis.flushall()
        await bridge.wait_for("stream.behind", entries=10)
        await publish(redis, "ticks", b"A:10")
        await have_appended(redis, "ticks", 1)

        [(entry_id, _)] = await redis.xrange("ticks")
        assert id_pair(entry_id) > id_pair(last_id)


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


class TestTrimming:
    """Entries go once every group has had them, and no sooner."""

    @pytest.fixture
    async def filled(self, bridge: Service, redis: Any, stream: str) -> AsyncIterator[list[bytes]]:
        await publish(redis, stream, *numbered(0, 10))
        await have_appended(redis, stream, 10)
        yield [entry_id for entry_id, _ in await redis.xrange(stream)]
        assert bridge.running

    async def _trimmed_to(self, redis: Any, stream: str, oldest: bytes) -> bool:
        return bool((await redis.xrange(stream, count=1))[0][0] == oldest)

    async def test_a_group_that_does_not_exist_yet_keeps_everything(
        self, filled: list[bytes], bridge: Service, redis: Any, stream: str
    ) -> None:
        await redis.xgroup_create(stream, "writer", id="$")
        calls = len(bridge.events)
        await bridge.wait_for("progress", since=calls)  # 5 s: several trims have been due

        assert [entry_id for entry_id, _ in await redis.xrange(stream)] == filled

    async def test_the_oldest_pending_entry_of_any_group_stays_with_all_that_follow(
        self, filled: list[bytes], redis: Any, stream: str
    ) -> None:
        await redis.xgroup_create(stream, "forwarder", id="$")
        await redis.xgroup_create(stream, "writer", id="0")
        await redis.xreadgroup("writer", "one", {stream: ">"})
        await redis.xack(stream, "writer", *filled[:4], *filled[5:])  # the fifth is still in work

        await wait_until(lambda: self._trimmed_to(redis, stream, filled[4]))
        assert [entry_id for entry_id, _ in await redis.xrange(stream)] == filled[4:]

    async def test_what_a_group_was_not_given_yet_stays(
        self, filled: list[bytes], redis: Any, stream: str
    ) -> None:
        await redis.xgroup_create(stream, "forwarder", id="$")
        await redis.xgroup_create(stream, "writer", id="0")
        await redis.xreadgroup("writer", "one", {stream: ">"}, count=3, noack=True)

        await wait_until(lambda: self._trimmed_to(redis, stream, filled[2]))
        assert [entry_id for entry_id, _ in await redis.xrange(stream)] == filled[2:]
