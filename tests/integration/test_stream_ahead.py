"""The consumer that gathers a batch while its handler has the one before: two in hand."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from pipeline import peers
from pipeline import stream as module
from pipeline.connections import connect
from pipeline.outage import Outage
from pipeline.settings import StreamSettings
from pipeline.stream import Consumer, Entry, Gathering, Handler, Rejected
from tests.consuming import (
    GROUP,
    Named,
    append,
    consume,
    events,
    ids,
    is_pending,
    left_by,
    pending,
    stream_settings,
)
from tests.looking import look
from tests.servers import RedisServer
from tests.waiting import wait_until

SIZE = 10
AHEAD = Gathering(SIZE, timedelta(seconds=60), timedelta(milliseconds=5), ahead=True)
PRICES = [f"A:{n}" for n in range(1, 2 * SIZE + 1)]


@pytest.fixture
def settings(redis_url: str, stream: str) -> StreamSettings:
    return stream_settings(redis_url, stream)


def with_two_in_hand(
    redis: Any, stream: str, then: Callable[[], Awaitable[object]]
) -> tuple[Handler, list[list[bytes]]]:
    """A handler that does this in the first batch, once the second is read; and its batches."""
    batches: list[list[bytes]] = []

    async def handle(batch: Sequence[Entry]) -> Sequence[Rejected]:
        batches.append(ids(batch))
        if len(batches) == 1:
            await wait_until(lambda: is_pending(redis, stream, 2 * SIZE))
            await then()
        return ()

    return handle, batches


async def test_the_next_batch_is_read_while_the_handler_has_one_and_handled_after_it(
    redis: Any, settings: StreamSettings
) -> None:
    appended = await append(redis, settings.stream, *PRICES)
    handle, batches = with_two_in_hand(redis, settings.stream, _nothing)

    seen = await consume(settings, lambda seen: len(seen) == 2 * SIZE, handle, AHEAD)

    assert batches == [appended[:SIZE], appended[SIZE:]]
    assert [message.decode() for _, _, message in seen] == PRICES
    assert await pending(redis, settings.stream) == 0


async def test_an_outage_with_two_batches_in_hand_brings_the_first_again_and_the_second_after_it(
    redis: Any, settings: StreamSettings
) -> None:
    appended = await append(redis, settings.stream, *PRICES)
    attempts: list[list[bytes]] = []

    async def away_twice(batch: Sequence[Entry]) -> Sequence[Rejected]:
        attempts.append(ids(batch))
        if len(attempts) < 3:
            await wait_until(lambda: is_pending(redis, settings.stream, 2 * SIZE))
            raise Outage("neighbour", "away")
        return ()

    await consume(settings, lambda seen: len(seen) == 2 * SIZE, away_twice, AHEAD)

    assert attempts == [appended[:SIZE]] * 3 + [appended[SIZE:]]


async def test_a_stop_handles_what_is_in_hand_and_what_was_read_ahead(
    redis: Any, settings: StreamSettings
) -> None:
    appended = await append(redis, settings.stream, *PRICES, "A:21")
    stop = asyncio.Event()

    async def ask_to_stop() -> None:
        stop.set()

    handle, batches = with_two_in_hand(redis, settings.stream, ask_to_stop)
    await _run(settings, handle, stop)

    assert batches == [appended[:SIZE], appended[SIZE : 2 * SIZE]]
    assert await pending(redis, settings.stream) == 0


async def test_a_stop_after_a_slow_batch_leaves_what_was_read_ahead_to_others_unsuspected(
    redis: Any, settings: StreamSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no time for a second one as slow."""
    monkeypatch.setattr(module, "HALF_A_STOP", 0)
    appended = await append(redis, settings.stream, *PRICES)
    stop = asyncio.Event()

    async def ask_to_stop() -> None:
        stop.set()

    handle, batches = with_two_in_hand(redis, settings.stream, ask_to_stop)
    await _run(settings, handle, stop)

    assert batches == [appended[:SIZE]]
    left = await redis.xpending_range(settings.stream, GROUP, "-", "+", 100)
    assert [(each["message_id"], each["times_delivered"]) for each in left] == [
        (entry, 0) for entry in appended[SIZE:]
    ]
    assert ids(await consume(settings, bool, gathering=AHEAD)) == appended[SIZE:]


@pytest.mark.parametrize("fault", [ZeroDivisionError(), Outage("neighbour", "away")])
async def test_who_ends_with_two_batches_in_hand_leaves_both_and_they_come_again_in_order(
    redis: Any, settings: StreamSettings, fault: Exception
) -> None:
    appended = await append(redis, settings.stream, *PRICES)
    stop = asyncio.Event()

    async def fail() -> None:
        stop.set()
        raise fault

    handle, _ = with_two_in_hand(redis, settings.stream, fail)
    if isinstance(fault, Outage):
        await _run(settings, handle, stop)
    else:
        with pytest.raises(ZeroDivisionError):
            await _run(settings, handle, stop)
    assert await pending(redis, settings.stream) == 2 * SIZE

    seen = await consume(settings, lambda seen: len(seen) == 2 * SIZE, gathering=AHEAD)
    assert ids(seen) == appended


async def test_a_bug_ends_the_reading_ahead_at_once_however_long_its_interval(
    redis: Any, settings: StreamSettings
) -> None:
    await append(redis, settings.stream, *PRICES[:SIZE])

    async def fail(_: Sequence[Entry]) -> Sequence[Rejected]:
        await append(redis, settings.stream, "A:1")
        await wait_until(lambda: is_pending(redis, settings.stream, SIZE + 1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await _run(settings, fail, asyncio.Event())


async def test_a_flush_with_two_batches_in_hand_brings_all_again_and_misses_nothing(
    own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = stream_settings(own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        appended = await append(redis, "ticks", *PRICES)

        async def flush() -> None:
            await redis.flushall()
            for entry, price in zip(appended, PRICES, strict=True):  # as the bridge replays them
                await redis.xadd("ticks", {"channel": "NYSE", "message": price}, id=entry)
            await append(redis, "ticks", "A:21")

        handle, batches = with_two_in_hand(redis, "ticks", flush)
        soon = AHEAD._replace(interval=timedelta(seconds=0.2))
        seen = await consume(settings, lambda seen: seen[-1][2] == b"A:21", handle, soon)

        assert batches[:2] == [appended[:SIZE], appended[SIZE:]]
        assert ids(seen[2 * SIZE : -1]) == appended
        assert await pending(redis, "ticks") == 0
    assert len(events(capsys, "stream.reset")) == 1


async def test_the_own_backlog_is_handled_before_anything_is_read_ahead(
    redis: Any, settings: StreamSettings
) -> None:
    own = await left_by(settings.consumer, redis, settings.stream, *PRICES[:SIZE])
    new = await append(redis, settings.stream, *PRICES[SIZE:])
    pendings: list[int] = []

    async def note(_: Sequence[Entry]) -> Sequence[Rejected]:
        pendings.append(await pending(redis, settings.stream))
        return ()

    seen = await consume(settings, lambda seen: len(seen) == 2 * SIZE, note, AHEAD)

    assert ids(seen) == own + new
    assert pendings[0] == SIZE


async def test_a_backlog_that_never_ends_keeps_no_dead_peers_entries_waiting(
    redis: Any, stream: str, named: Named, quick_peers: pytest.MonkeyPatch
) -> None:
    quick_peers.setattr(peers, "GRACE", 0)
    await append(redis, stream, *PRICES)
    theirs: set[bytes] = set()

    async def die() -> None:
        [(_, delivered)] = await redis.xreadgroup(GROUP, "dead", {stream: ">"}, count=3)
        theirs.update(ids(delivered))

    seen = await consume(
        named("one"),
        lambda seen: bool(theirs) and theirs <= {*ids(seen)},
        never_ending(redis, stream, die),
        AHEAD,
    )

    assert len([entry for entry in ids(seen) if entry in theirs]) == 3


@pytest.mark.usefixtures("quick_peers")
async def test_a_backlog_that_never_ends_hides_no_acknowledgement_that_redis_lost(
    redis: Any, stream: str, named: Named
) -> None:
    [first, *_] = await append(redis, stream, *PRICES)

    async def lose_it() -> None:
        await redis.xclaim(stream, GROUP, "one", 0, [first], force=True)

    seen = await consume(
        named("one"),
        lambda seen: ids(seen).count(first) == 2,
        never_ending(redis, stream, lose_it),
        AHEAD,
    )

    assert len(ids(seen)) == len({*ids(seen)}) + 1


def never_ending(redis: Any, stream: str, then: Callable[[], Awaitable[object]]) -> Handler:
    """A handler with always one more batch to be read ahead; in its third it does this."""
    batches = 0

    async def handle(batch: Sequence[Entry]) -> Sequence[Rejected]:
        nonlocal batches
        batches += 1
        await append(redis, stream, *["A:1"] * len(batch))
        if batches == 3:
            await then()
        return ()

    return handle


async def _run(settings: StreamSettings, handle: Handler, stop: asyncio.Event) -> None:
    async with connect(settings) as client, asyncio.timeout(10):
        await Consumer(client, GROUP, settings, AHEAD).run(handle, stop)


async def _nothing() -> None:
    pass
