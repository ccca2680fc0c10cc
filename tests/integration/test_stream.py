"""The consumer's promises, on a real Redis."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import orjson
import pytest

from pipeline.connections import connect
from pipeline.outage import Outage
from pipeline.settings import StreamSettings
from pipeline.stream import Consumer, Entry, Gathering, Handler, Rejected
from tests.looking import look
from tests.servers import RedisServer
from tests.waiting import wait_until

GROUP = "g"
AT_ONCE = Gathering(limit=1000)
Drain = Callable[..., Awaitable[list[bytes]]]


@pytest.fixture
def settings(redis_url: str, stream: str) -> StreamSettings:
    return _settings(redis_url, stream)


def _settings(url: str, stream: str, consumer: str = "one") -> StreamSettings:
    return StreamSettings.model_validate(
        {"redis_url": url, "stream": stream, "consumer": consumer, "block": timedelta(seconds=0.1)}
    )


async def append(redis: Any, stream: str, *messages: str) -> list[bytes]:
    return [
        await redis.xadd(stream, {"channel": "NYSE", "message": message}) for message in messages
    ]


async def pending(redis: Any, stream: str) -> int:
    summary: dict[str, Any] = await redis.xpending(stream, GROUP)
    return int(summary["pending"])


async def consume(
    settings: StreamSettings,
    until: Callable[[list[Entry]], bool],
    handle: Handler | None = None,
    gathering: Gathering = AT_ONCE,
) -> list[Entry]:
    """Run a consumer until what it handled satisfies `until` and is acknowledged."""
    seen: list[Entry] = []
    stop = asyncio.Event()

    async def note(batch: Sequence[Entry]) -> Sequence[Rejected]:
        rejected = await handle(batch) if handle else ()
        seen.extend(batch)
        if until(seen):
            stop.set()
        return rejected

    async with connect(settings) as redis:
        async with asyncio.timeout(20):
            await Consumer(redis, GROUP, settings, gathering).run(note, stop)
    return seen


async def crash(_: Sequence[Entry]) -> Sequence[Rejected]:
    raise ZeroDivisionError


def ids(entries: Sequence[Entry]) -> list[bytes]:
    return [entry[0] for entry in entries]


def events(capsys: pytest.CaptureFixture[str], name: str) -> list[dict[str, Any]]:
    lines = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line["event"] == name]


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


async def test_a_flushed_redis_gets_its_group_again_and_misses_nothing_appended_since(
    own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = _settings(own_redis.url, "ticks")
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
    settings = _settings(own_redis.url, "ticks").model_copy(update={"block": timedelta(seconds=5)})
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
    settings = _settings(own_redis.url, "ticks")
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
    async with connect(settings) as client:
        consumer = Consumer(client, GROUP, settings, AT_ONCE)
        await consumer._ensure_group()  # noqa: SLF001 - as run() does
        # Somebody with our name takes delivery and drops the reply, as a cut connection does.
        await redis.xreadgroup(GROUP, settings.consumer, {settings.stream: ">"})
        assert await pending(redis, settings.stream) == 1

        seen = await consume(settings, lambda seen: len(seen) == 1)

    assert [message for _, _, message in seen] == [b"A:1"]
