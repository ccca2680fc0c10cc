"""An entry that kills its reader is found and buried alone; none is that doesn't."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.connections import connect
from pipeline.outage import Outage
from pipeline.settings import StreamSettings
from pipeline.stream import Consumer, Entry, Gathering, Rejected
from pipeline.suspects import DEATHS, REASON, SUSPICIOUS, Suspects
from tests.consuming import (
    AT_ONCE,
    GROUP,
    append,
    consume,
    crash,
    events,
    ids,
    pending,
    stream_settings,
)
from tests.looking import look
from tests.servers import RedisServer

LIVES = SUSPICIOUS - 1
"""Of processes that can end with a batch in hand before any of it is suspicious."""


@pytest.fixture
def settings(redis_url: str, stream: str) -> StreamSettings:
    return stream_settings(redis_url, stream)


async def die(settings: StreamSettings, times: int = 1) -> None:
    """A process has everything in hand, and ends of something else."""
    for _ in range(times):
        with pytest.raises(ZeroDivisionError):
            await consume(settings, lambda _: False, crash)


async def letters(redis: Any, settings: StreamSettings) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in await redis.xrange(settings.helper_key("dead", GROUP))]


async def marks(redis: Any, settings: StreamSettings) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = await redis.hgetall(settings.helper_key("suspect", GROUP))
    return found


async def test_an_entry_that_kills_its_reader_is_buried_alone_and_its_neighbours_are_handled(
    redis: Any, settings: StreamSettings
) -> None:
    sent = await append(redis, settings.stream, "A:1", "A:2", "killer", "A:3", "A:4")
    handled: list[bytes] = []

    async def fall_for_it(batch: Sequence[Entry]) -> Sequence[Rejected]:
        if any(message == b"killer" for _, _, message in batch):
            raise ZeroDivisionError
        handled.extend(ids(batch))
        return ()

    for _ in range(LIVES + DEATHS):
        with pytest.raises(ZeroDivisionError):
            await consume(settings, lambda _: False, fall_for_it)
    await consume(settings, lambda _: len(handled) == 4, fall_for_it)

    assert handled == sent[:2] + sent[3:]
    [letter] = await letters(redis, settings)
    assert (letter[b"entry"], letter[b"message"]) == (sent[2], b"killer")
    assert letter[b"reason"] == REASON.encode()
    assert await pending(redis, settings.stream) == 0
    assert await marks(redis, settings) == {}


async def test_a_storm_of_restarts_buries_nothing(redis: Any, settings: StreamSettings) -> None:
    sent = await append(redis, settings.stream, *[f"A:{n}" for n in range(1, 51)])
    await die(settings, LIVES + DEATHS - 1)

    seen = await consume(settings, lambda seen: len(seen) == 50)

    assert ids(seen) == sent
    assert await letters(redis, settings) == []
    assert await marks(redis, settings) == {}


async def test_an_outage_or_a_stop_during_the_attempt_clears_its_mark(
    redis: Any, settings: StreamSettings
) -> None:
    [entry_id] = await append(redis, settings.stream, "A:1")
    marked: list[dict[bytes, bytes]] = []

    async def attempt(fault: BaseException) -> None:
        stop = asyncio.Event()

        async def away(_: Sequence[Entry]) -> Sequence[Rejected]:
            marked.append(await marks(redis, settings))
            stop.set()
            raise fault

        async with connect(settings) as client, asyncio.timeout(10):
            await Consumer(client, GROUP, settings, AT_ONCE).run(away, stop)

    for _ in range(DEATHS + 1):
        await die(settings, LIVES)
        with pytest.raises(asyncio.CancelledError):
            await attempt(asyncio.CancelledError())  # a stop that took too long
        await attempt(Outage("neighbour", "away"))
        assert await marks(redis, settings) == {}
    seen = await consume(settings, bool)

    assert [list(each) for each in marked] == [[entry_id]] * len(marked)
    assert ids(seen) == [entry_id]
    assert await letters(redis, settings) == []


async def test_stops_in_an_outage_make_nothing_suspicious(
    redis: Any, settings: StreamSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or each row would be refused alone, and buried, for what is wrong with the table."""
    sent = await append(redis, settings.stream, *["A:1"] * 2500)

    async def away(_: Sequence[Entry]) -> Sequence[Rejected]:
        stop.set()
        raise Outage("neighbour", "away")

    for _ in range(SUSPICIOUS + 1):
        stop = asyncio.Event()
        async with connect(settings) as client, asyncio.timeout(10):
            await Consumer(client, GROUP, settings, Gathering(2500)).run(away, stop)
    assert await pending(redis, settings.stream) == len(sent)

    assert ids(await consume(settings, lambda seen: len(seen) == len(sent))) == sent
    assert events(capsys, "stream.suspects") == []


async def test_what_is_not_suspicious_is_handled_together(
    redis: Any, settings: StreamSettings
) -> None:
    old = await append(redis, settings.stream, "A:1", "A:2")
    await die(settings, LIVES - 1)
    new = await append(redis, settings.stream, "A:3", "A:4")
    await redis.xreadgroup(GROUP, settings.consumer, {settings.stream: ">"})
    batches: list[list[bytes]] = []

    async def note(batch: Sequence[Entry]) -> Sequence[Rejected]:
        batches.append(ids(batch))
        return ()

    await die(settings)
    await consume(settings, lambda seen: len(seen) == 4, note)

    assert batches == [old[:1], old[1:], new]


async def test_a_flush_between_a_backlog_and_the_look_for_suspects_ends_no_process(
    redis: Any, settings: StreamSettings
) -> None:
    [entry_id] = await append(redis, settings.stream, "A:1")
    await die(settings)
    await redis.xgroup_destroy(settings.stream, GROUP)

    async with connect(settings) as client:
        suspects = Suspects(client, GROUP, settings, "token")
        assert await suspects.among([entry_id], "one") == set()


async def test_it_costs_nothing_while_nothing_fails(own_redis: RedisServer) -> None:
    settings = stream_settings(own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        await append(redis, "ticks", *["A:1"] * 5000)
        await consume(settings, lambda seen: len(seen) == 5000)

        asked = await redis.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): each["calls"] for name, each in asked.items()}
    assert calls["xack"] <= calls["xreadgroup"] <= 10
    # One of each is the leaving one's: nothing pending, and gone.
    assert {"hset", "hget", "hdel", "xclaim"}.isdisjoint(calls)
    assert calls["xpending"] == 1


async def test_a_full_redis_has_readers_too_who_try_and_bury(own_redis: RedisServer) -> None:
    """What it keeps can only be trimmed after they had it."""
    settings = stream_settings(own_redis.url, "ticks")
    async with look(own_redis.url) as redis:
        [killer, entry_id] = await append(redis, "ticks", "killer", "A:1")
        await die(settings, LIVES)
        await redis.hset(settings.helper_key("suspect", GROUP), killer, f"{DEATHS} somebody")
        await redis.config_set("maxmemory", "1")

        assert ids(await consume(settings, bool)) == [entry_id]
        [letter] = await letters(redis, settings)
        assert letter[b"entry"] == killer
        assert await marks(redis, settings) == {}
        assert await pending(redis, "ticks") == 0
