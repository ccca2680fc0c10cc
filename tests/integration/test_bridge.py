"""The bridge as a real process: what is published is in the stream, once, in order."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bridge.ids import id_us
from bridge.script import LETTER, MAX_MESSAGE
from pipeline.tick import id_pair
from tests.bridging import appended, channel_of, have_appended, messages, numbered, publish, start
from tests.services import Service, StartService
from tests.waiting import wait_until


@pytest.fixture
async def bridge(service: StartService, redis_url: str, stream: str) -> Service:
    return await start(service, redis_url, stream)


async def test_every_message_is_appended_in_order_as_it_was_published(
    bridge: Service, redis: Any, stream: str
) -> None:
    odd = [b"", b"no colon", b"\x00\xff", "é:1".encode(), b"A:B:1"]
    sent = [*numbered(1, 3000), *odd, *numbered(3000, 5000)]
    await publish(redis, stream, *sent)
    await have_appended(redis, stream, len(sent))

    entries = await redis.xrange(stream)
    assert [fields for _, fields in entries] == [
        {b"channel": channel_of(stream).encode(), b"message": message} for message in sent
    ]
    assert bridge.running


async def test_each_of_many_channels_keeps_its_name_and_every_byte_of_its_messages(
    service: StartService, redis_url: str, redis: Any, stream: str
) -> None:
    channels = [f"{number}-{stream}" for number in range(300)]  # more than one byte can count
    bridge = service("bridge", REDIS_URL=redis_url, STREAM=stream, CHANNELS=",".join(channels))
    await bridge.wait_for("lease.taken")
    every_byte = bytes(range(256))
    sent = [(name.encode(), every_byte[: n % 257]) for n, name in enumerate(channels * 3)]
    async with redis.pipeline(transaction=False) as batch:
        for channel, message in sent:
            batch.publish(channel, message)
        await batch.execute()
    await have_appended(redis, stream, len(sent))

    entries = [fields for _, fields in await redis.xrange(stream)]
    assert [(each[b"channel"], each[b"message"]) for each in entries] == sent


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


@pytest.mark.parametrize("size", [MAX_MESSAGE + 1, 1_000_000, 20_000_000])
async def test_a_message_too_long_goes_cut_to_the_dead_letters_and_its_neighbours_arrive(
    bridge: Service, redis: Any, stream: str, size: int
) -> None:
    await publish(redis, stream, b"A:1", b"x" * size, b"A:2")
    await have_appended(redis, stream, 2)

    assert await messages(redis, stream) == [b"A:1", b"A:2"]
    [(_, letter)] = await redis.xrange(f"{{{stream}}}:dead:bridge")
    assert letter[b"message"] == b"x" * LETTER
    assert letter[b"reason"] == b"message of %d bytes is longer than %d" % (size, MAX_MESSAGE)
    await bridge.wait_for("dead_letter", group="bridge", reason=letter[b"reason"].decode())
    assert bridge.running


async def test_a_stop_appends_what_was_published_before_it_and_gives_the_lease_back(
    bridge: Service, redis: Any, stream: str
) -> None:
    await publish(redis, stream, *numbered(0, 10_000))
    code = await bridge.terminate()

    last = bridge.find("service.stopped")
    final = [event for event in bridge.events if event["event"] == "progress"][-1]
    assert (code, last is not None) == (0, True)
    assert final["appended"] == final["received"] == 10_000
    assert await appended(redis, stream) == 10_000
    assert not await redis.exists(f"{{{stream}}}:lease")


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
