"""STREAM_MAX_ENTRIES: the stream stays no longer, whoever needs what is cut, and it is said."""

import signal
from collections.abc import Sequence
from typing import Any

import pytest

from bridge.script import TRIM_STEP
from pipeline.connections import connect
from pipeline.lag import read_lag
from pipeline.stream import Entry, Rejected
from tests.bridging import have_appended, messages, numbered, publish, start
from tests.consuming import GROUP, consume, events, pending, stream_settings
from tests.looking import look
from tests.metrics import last_metrics, metric
from tests.servers import RedisServer
from tests.services import Event, Service, StartService
from tests.ticks import append, entries, ids
from tests.waiting import wait_until

CAP = 3000
LONG = 2 * TRIM_STEP + CAP + 1000  # three steps
CAPPED = {"STREAM_MAX_ENTRIES": CAP, "STREAM_GROUPS": GROUP}


async def fill(redis: Any, stream: str, count: int, size: int = 0) -> list[bytes]:
    """As a bridge with a higher cap has left it; nobody has read anything."""
    old = entries([message.ljust(size, b"0") for message in numbered(0, count)])
    await append(redis, stream, old)
    return ids(old)


async def capped(redis: Any, stream: str, length: int = CAP) -> None:
    async def short() -> bool:
        return bool(await redis.xlen(stream) == length)

    await wait_until(short, what=f"a stream of {length} entries")


def said(bridge: Service) -> list[Event]:
    return [event for event in bridge.events if event["event"] == "stream.overrun"]


async def lost(bridge: Service, unread: int, pending: int, group: str = GROUP) -> None:
    """Return once so many are said to be lost: in one line or in several, as trimming falls."""

    def all_said() -> bool:
        lines = [event for event in said(bridge) if event["group"] == group]
        found = [sum(line[name] for line in lines) for name in ("unread", "pending")]
        return found == [unread, pending]

    await wait_until(all_said, what=f"{unread} unread and {pending} pending entries said lost")


async def lag(redis_url: str, stream: str) -> float | None:
    async with connect(stream_settings(redis_url, stream)) as client:
        return (await read_lag(client, stream, GROUP))["lag_entries"]


async def test_a_group_behind_loses_the_oldest_and_it_is_said_once_and_counted(
    service: StartService, redis: Any, redis_url: str, stream: str
) -> None:
    await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
    await redis.xgroup_create(stream, "quick", id="$")
    await fill(redis, stream, LONG)
    await redis.xgroup_setid(stream, "quick", id="$")
    await redis.xreadgroup(GROUP, "one", {stream: ">"}, count=500, noack=True)

    bridge = await start(service, redis_url, stream, **CAPPED | {"STREAM_GROUPS": f"{GROUP},quick"})
    await capped(redis, stream)
    assert await messages(redis, stream) == numbered(LONG - CAP, LONG)
    unread = LONG - CAP - 500
    await lost(bridge, unread, 0)
    assert [(line["group"], line["limit"]) for line in said(bridge)] == [(GROUP, CAP)]
    assert await lag(redis_url, stream) == CAP

    await publish(redis, stream, *numbered(LONG, LONG + 2000))
    await lost(bridge, unread + 2000, 0)
    await capped(redis, stream)
    assert await messages(redis, stream) == numbered(LONG + 2000 - CAP, LONG + 2000)
    assert await redis.hgetall(f"{{{stream}}}:overrun") == {GROUP.encode(): b"%d" % (unread + 2000)}
    assert await bridge.terminate() == 0
    told = last_metrics(bridge)
    assert told[metric("overrun", group=GROUP)] == unread + 2000
    assert told[metric("overrun", group="quick")] == 0
    assert told[metric("trimmed")] == LONG - CAP + 2000


async def test_its_lag_stays_right_while_it_reads_on_behind_the_cut(
    service: StartService, redis: Any, redis_url: str, stream: str
) -> None:
    await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
    await fill(redis, stream, 10)
    await redis.xreadgroup(GROUP, "one", {stream: ">"}, noack=True)
    await fill(redis, stream, CAP + 500)

    await start(service, redis_url, stream, **CAPPED)
    await capped(redis, stream)
    assert await lag(redis_url, stream) == CAP
    for left in (CAP - 1000, CAP - 2000, 0):
        await redis.xreadgroup(GROUP, "one", {stream: ">"}, count=1000, noack=True)
        [group] = await redis.xinfo_groups(stream)
        assert (group["lag"], await lag(redis_url, stream)) == (left, left)


async def test_a_consumer_whose_entries_were_cut_says_so_and_goes_on(
    service: StartService,
    redis: Any,
    redis_url: str,
    stream: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
    filled = await fill(redis, stream, CAP + 300)
    await redis.xreadgroup(GROUP, "one", {stream: ">"}, count=400)  # and dies
    await redis.xack(stream, GROUP, *filled[:50])

    bridge = await start(service, redis_url, stream, **CAPPED)
    await lost(bridge, 0, 250)
    assert await lag(redis_url, stream) == CAP + 250  # what is gone is let go by who has it
    await publish(redis, stream, *numbered(CAP + 300, CAP + 500))
    await lost(bridge, 100, 250 + 100)  # no entry counts twice
    [*_, (last, _)] = await redis.xrange(stream)

    seen = await consume(stream_settings(redis_url, stream), lambda seen: seen[-1][0] == last)
    assert [message for _, _, message in seen] == numbered(500, CAP + 500)
    gone = [event["entry"].encode() for event in events(capsys, "stream.entry_lost")]
    assert gone == filled[50:400]
    assert await pending(redis, stream) == 0
    assert await lag(redis_url, stream) == 0


async def test_what_a_consumer_has_in_hand_is_handled_though_it_was_cut(
    service: StartService, redis: Any, redis_url: str, stream: str
) -> None:
    await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
    filled = await fill(redis, stream, 1000)
    bridge = await start(service, redis_url, stream, **CAPPED)

    async def cut_meanwhile(batch: Sequence[Entry]) -> Sequence[Rejected]:
        if batch[0][0] == filled[0]:
            await publish(redis, stream, *numbered(1000, 1000 + CAP))
            await lost(bridge, 0, 1000)
        return ()

    seen = await consume(
        stream_settings(redis_url, stream),
        lambda seen: len(seen) >= 1000 + CAP,
        cut_meanwhile,
    )
    assert [message for _, _, message in seen] == numbered(0, 1000 + CAP)
    assert await pending(redis, stream) == 0


async def test_a_stream_that_nobody_reads_is_cut_too(
    service: StartService, redis: Any, redis_url: str, stream: str
) -> None:
    bridge = await start(service, redis_url, stream, STREAM_MAX_ENTRIES=CAP)
    await publish(redis, stream, *numbered(0, CAP + 700))
    await have_appended(redis, stream, CAP + 700)
    await capped(redis, stream)

    assert await messages(redis, stream) == numbered(700, CAP + 700)
    for group in ("forwarder", "writer"):
        await lost(bridge, 700, 0, group)
    kept = await redis.hgetall(f"{{{stream}}}:overrun")
    assert kept == {b"forwarder": b"700", b"writer": b"700"}


async def test_what_every_group_has_had_is_no_loss(
    service: StartService, redis: Any, redis_url: str, stream: str
) -> None:
    await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
    await fill(redis, stream, LONG)
    await redis.xreadgroup(GROUP, "one", {stream: ">"}, noack=True)

    bridge = await start(service, redis_url, stream, **CAPPED)
    await capped(redis, stream, length=1)  # the last that it was given
    assert said(bridge) == []


async def test_the_cap_makes_room_in_a_full_redis(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks", STREAM_MAX_ENTRIES=CAP)
    async with look(own_redis.url) as redis:
        bridge.signal(signal.SIGSTOP)
        await fill(redis, "ticks", 20_000, size=500)
        await redis.config_set("maxmemory", (await redis.info("memory"))["used_memory"] - (1 << 20))
        await publish(redis, "ticks", *numbered(20_000, 20_100))
        bridge.signal(signal.SIGCONT)  # which has these to append, and there is no room
        await have_appended(redis, "ticks", 20_100)
        await capped(redis, "ticks")

        assert (await messages(redis, "ticks"))[-100:] == numbered(20_000, 20_100)
        assert await redis.hget("{ticks}:overrun", "writer")


async def test_what_was_cut_is_not_appended_again(
    own_redis: RedisServer, service: StartService
) -> None:
    """A flush brings back what the stream may have, and no more."""
    bridge = await start(service, own_redis.url, "ticks", STREAM_MAX_ENTRIES=CAP)
    async with look(own_redis.url) as redis:
        await publish(redis, "ticks", *numbered(0, 2 * CAP))
        await have_appended(redis, "ticks", 2 * CAP)
        await capped(redis, "ticks")
        kept = await redis.xrange("ticks")
        await redis.flushall()
        await bridge.wait_for("stream.behind", appended_again=CAP)
        await have_appended(redis, "ticks", CAP)

        assert await redis.xrange("ticks") == kept
        assert not await redis.exists("{ticks}:overrun")
