"""The consumer's promises, on a real Redis."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from redis.exceptions import ResponseError

from pipeline.connections import connect
from pipeline.dead_letters import LETTER
from pipeline.outage import Outage
from pipeline.settings import StreamSettings
from pipeline.stream import Consumer, Entry, Gathering, Rejected
from tests.consuming import (
    AT_ONCE,
    GROUP,
    append,
    consume,
    crash,
    events,
    ids,
    pending,
    refuse,
    stream_settings,
)
from tests.waiting import wait_until


@pytest.fixture
def settings(redis_url: str, stream: str) -> StreamSettings:
    return stream_settings(redis_url, stream)


async def test_what_was_appended_before_the_group_existed_is_delivered(
    redis: Any, settings: StreamSettings
) -> None:
    appended = await append(redis, settings.stream, "A:1", "A:2")

    seen = await consume(settings, lambda seen: len(seen) == 2)

    assert seen == [(appended[0], b"NYSE", b"A:1"), (appended[1], b"NYSE", b"A:2")]
    assert await pending(redis, settings.stream) == 0


async def test_a_crash_before_the_acknowledgement_means_a_second_delivery(
    redis: Any, settings: StreamSettings
) -> None:
    appended = await append(redis, settings.stream, "A:1", "A:2")

    with pytest.raises(ZeroDivisionError):
        await consume(settings, lambda _: False, crash)
    assert await pending(redis, settings.stream) == 2
    seen = await consume(settings, lambda seen: len(seen) == 2)

    assert ids(seen) == appended
    assert await pending(redis, settings.stream) == 0


async def test_the_own_backlog_comes_before_new_entries(
    redis: Any, settings: StreamSettings
) -> None:
    old = await append(redis, settings.stream, "A:1", "A:2", "A:3")
    with pytest.raises(ZeroDivisionError):
        await consume(settings, lambda _: False, crash)
    new = await append(redis, settings.stream, "A:4")

    seen = await consume(settings, lambda seen: len(seen) == 4)

    assert ids(seen) == old + new


async def test_an_outage_brings_the_same_batch_again_and_acknowledges_nothing_meanwhile(
    redis: Any, settings: StreamSettings
) -> None:
    appended = await append(redis, settings.stream, "A:1", "A:2")
    attempts: list[list[bytes]] = []
    pendings: list[int] = []

    async def away_twice(batch: Sequence[Entry]) -> Sequence[Rejected]:
        attempts.append(ids(batch))
        pendings.append(await pending(redis, settings.stream))
        if len(attempts) < 3:
            raise Outage("neighbour", "away")
        return ()

    await consume(settings, lambda _: True, away_twice)

    assert attempts == [appended] * 3
    assert pendings == [2, 2, 2]


async def test_a_stop_during_an_outage_leaves_the_batch_pending(
    redis: Any, settings: StreamSettings
) -> None:
    await append(redis, settings.stream, "A:1")
    stop = asyncio.Event()

    async def away(_: Sequence[Entry]) -> Sequence[Rejected]:
        stop.set()
        raise Outage("neighbour", "away")

    async with connect(settings) as client, asyncio.timeout(10):
        await Consumer(client, GROUP, settings, AT_ONCE).run(away, stop)

    assert await pending(redis, settings.stream) == 1


async def test_what_the_handler_rejects_is_buried_with_its_reason_and_the_rest_is_not(
    redis: Any, settings: StreamSettings
) -> None:
    appended = await append(redis, settings.stream, "A:1", "bad", "A:2")

    async def picky(batch: Sequence[Entry]) -> Sequence[Rejected]:
        return [Rejected(entry, "it is bad") for entry in batch if entry[2] == b"bad"]

    await consume(settings, lambda seen: len(seen) == 3, picky)

    letters = await redis.xrange(settings.helper_key("dead", GROUP))
    assert [fields for _, fields in letters] == [
        {b"entry": appended[1], b"channel": b"NYSE", b"message": b"bad", b"reason": b"it is bad"}
    ]
    assert await pending(redis, settings.stream) == 0


async def test_a_burial_whose_reply_is_lost_is_not_repeated(
    redis: Any, settings: StreamSettings
) -> None:
    [entry_id] = await append(redis, settings.stream, "bad")
    with pytest.raises(ZeroDivisionError):
        await consume(settings, lambda _: False, crash)
    rejected = [Rejected((entry_id, b"NYSE", b"bad"), "it is bad")]

    async with connect(settings) as client:
        consumer = Consumer(client, GROUP, settings, AT_ONCE)
        for _ in range(2):  # what persist does when the first reply doesn't arrive
            await consumer._acknowledge([entry_id], rejected)  # noqa: SLF001 - the step itself

    assert await redis.xlen(settings.helper_key("dead", GROUP)) == 1


async def test_a_letter_that_cannot_be_kept_is_not_acknowledged(
    redis: Any, settings: StreamSettings
) -> None:
    [entry_id] = await append(redis, settings.stream, "bad")
    await redis.set(settings.helper_key("dead", GROUP), "not a stream")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await consume(settings, lambda _: False, refuse)
    assert await pending(redis, settings.stream) == 1

    await redis.delete(settings.helper_key("dead", GROUP))
    await consume(settings, bool, refuse)
    [(_, letter)] = await redis.xrange(settings.helper_key("dead", GROUP))
    assert letter[b"entry"] == entry_id


async def test_a_letter_is_cut_where_it_cannot_be_a_tick_any_more(
    redis: Any, settings: StreamSettings
) -> None:
    await append(redis, settings.stream, "x" * 60_000)

    await consume(settings, bool, refuse)
    [(_, letter)] = await redis.xrange(settings.helper_key("dead", GROUP))
    assert letter[b"message"] == b"x" * LETTER


async def test_an_entry_with_other_fields_is_buried_and_its_neighbours_are_handled(
    redis: Any, settings: StreamSettings
) -> None:
    await append(redis, settings.stream, "A:1")
    await redis.xadd(settings.stream, {"foo": "bar", "message": "A:2"})
    await append(redis, settings.stream, "A:3")

    seen = await consume(settings, lambda seen: len(seen) == 2)

    assert [message for _, _, message in seen] == [b"A:1", b"A:3"]
    [(_, letter)] = await redis.xrange(settings.helper_key("dead", GROUP))
    assert letter[b"message"] == b"foo bar message A:2"
    assert letter[b"reason"] == b"fields are not channel and message"


async def test_a_pending_entry_whose_body_is_gone_is_said_to_be_lost_and_let_go(
    redis: Any, settings: StreamSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, kept = await append(redis, settings.stream, "A:1", "A:2")
    with pytest.raises(ZeroDivisionError):
        await consume(settings, lambda _: False, crash)
    await redis.xdel(settings.stream, gone)

    seen = await consume(settings, lambda seen: len(seen) == 1)

    assert ids(seen) == [kept]
    assert await pending(redis, settings.stream) == 0
    assert [line["entry"] for line in events(capsys, "stream.entry_lost")] == [gone.decode()]


async def test_mostly_invalid_entries_are_an_incident_and_are_all_buried(
    redis: Any, settings: StreamSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    await append(redis, settings.stream, *["bad"] * 600, *["A:1"] * 400)

    async def picky(batch: Sequence[Entry]) -> Sequence[Rejected]:
        return [Rejected(entry, "it is bad") for entry in batch if entry[2] == b"bad"]

    await consume(settings, lambda seen: len(seen) == 1000, picky)

    [incident] = events(capsys, "stream.mostly_invalid")
    assert (incident["invalid"], incident["of"]) == (600, 1000)
    assert await redis.xlen(settings.helper_key("dead", GROUP)) == 600


async def test_gathering_ends_at_its_limit_long_before_its_interval(
    redis: Any, settings: StreamSettings
) -> None:
    await append(redis, settings.stream, *[f"A:{n}" for n in range(1, 251)])
    sizes: list[int] = []

    async def measure(batch: Sequence[Entry]) -> Sequence[Rejected]:
        sizes.append(len(batch))
        return ()

    # The last fifty would wait for the interval: a stop flushes them.
    gathering = Gathering(100, timedelta(seconds=60), timedelta(milliseconds=5))
    await consume(settings, lambda seen: len(seen) >= 200, measure, gathering)

    assert sizes == [100, 100]


async def test_no_read_asks_for_more_than_a_batch(redis: Any, settings: StreamSettings) -> None:
    """Redis, and the loop that parses its reply, do nothing else meanwhile."""
    await append(redis, settings.stream, *["A:1"] * 250)
    few = settings.model_copy(update={"batch": 100})
    sizes: list[int] = []

    async def measure(batch: Sequence[Entry]) -> Sequence[Rejected]:
        sizes.append(len(batch))
        return ()

    await consume(few, lambda seen: len(seen) == 250, measure)

    assert sizes == [100, 100, 50]


async def test_gathering_waits_out_its_interval_for_more(
    redis: Any, settings: StreamSettings
) -> None:
    gathering = Gathering(1000, timedelta(seconds=0.5), timedelta(milliseconds=5))
    sizes: list[int] = []

    async def measure(batch: Sequence[Entry]) -> Sequence[Rejected]:
        sizes.append(len(batch))
        return ()

    consuming = asyncio.ensure_future(
        consume(settings, lambda seen: len(seen) == 2, measure, gathering)
    )
    await append(redis, settings.stream, "A:1")
    # Delivered, so the interval runs: the second one must come into the same batch.
    await wait_until(lambda: _delivered(redis, settings.stream))
    await append(redis, settings.stream, "A:2")
    await consuming

    assert sizes == [2]


async def _delivered(redis: Any, stream: str) -> bool:
    with suppress(Exception):  # the group may not exist yet
        return await pending(redis, stream) > 0
    return False


async def test_the_end_of_a_backlog_waits_for_one_interval_however_many_batches_came_before(
    redis: Any, settings: StreamSettings
) -> None:
    appended = await append(redis, settings.stream, *["A:1"] * 81)
    gathering = Gathering(2, timedelta(seconds=1), timedelta(milliseconds=5))

    seen = await consume(settings, lambda seen: len(seen) == 81, gathering=gathering)

    assert ids(seen) == appended
