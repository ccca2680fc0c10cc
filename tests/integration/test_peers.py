"""What becomes of a consumer's entries when it, or another one, dies."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline import peers
from pipeline.outage import Outage
from pipeline.stream import Entry, Rejected
from tests.consuming import (
    AT_MOST_TEN,
    GROUP,
    Named,
    alive,
    append,
    consume,
    consumers,
    crash,
    events,
    has_group,
    ids,
    is_pending,
    left_by,
    pending,
)
from tests.waiting import POLL_EVERY, wait_until

pytestmark = pytest.mark.usefixtures("quick_peers")


async def test_what_a_dead_peer_left_comes_after_the_own_backlog_and_before_new_entries(
    redis: Any,
    stream: str,
    named: Named,
    quick_peers: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    quick_peers.setattr(peers, "GRACE", 0)  # or the new one would be read while others may report
    theirs = await left_by("dead", redis, stream, "A:1", "A:2")
    own = await append(redis, stream, "A:3")
    await redis.xreadgroup(GROUP, "one", {stream: ">"})
    new: list[bytes] = []

    async def append_more(_: Sequence[Entry]) -> Sequence[Rejected]:
        if not new:
            new.extend(await append(redis, stream, "A:4"))
        return ()

    seen = await consume(named("one"), lambda seen: len(seen) == 4, append_more)

    assert ids(seen) == own + theirs + new
    assert await pending(redis, stream) == 0
    [claimed] = events(capsys, "stream.claimed")
    assert (claimed["consumers"], claimed["entries"]) == (["dead"], 2)
    assert b"dead" not in await consumers(redis, stream)


async def test_two_claimers_get_each_entry_of_a_dead_peer_once(
    redis: Any, stream: str, named: Named, quick_peers: pytest.MonkeyPatch
) -> None:
    quick_peers.setattr(peers, "CLAIMED_TOGETHER", 10)  # so that both find some
    left = await left_by("dead", redis, stream, *[f"A:{n}" for n in range(1, 501)])
    seen: list[bytes] = []

    async def note(batch: Sequence[Entry]) -> Sequence[Rejected]:
        seen.extend(ids(batch))
        return ()

    both = [
        asyncio.ensure_future(consume(named(name), lambda _: len(seen) >= 500, note, AT_MOST_TEN))
        for name in ("one", "two")
    ]
    await wait_until(lambda: len(seen) >= 500)
    await append(redis, stream, *["A:1"] * 20)  # so that both look at what there is to stop for
    await asyncio.gather(*both)

    assert set(left) <= set(seen)
    assert len([each for each in seen if each in set(left)]) == 500


async def test_a_slow_peer_keeps_what_it_has_however_long_its_outage(
    redis: Any, stream: str, named: Named
) -> None:
    mine = await append(redis, stream, "A:1")
    away = asyncio.Event()
    away.set()

    async def wait_it_out(_: Sequence[Entry]) -> Sequence[Rejected]:
        if away.is_set():
            raise Outage("neighbour", "away")
        return ()

    slow = asyncio.ensure_future(consume(named("slow"), bool, wait_it_out))
    await wait_until(lambda: has_group(redis, stream))
    await wait_until(lambda: is_pending(redis, stream, 1))
    began = asyncio.get_running_loop().time()

    def long_since(_: list[Entry]) -> bool:
        return asyncio.get_running_loop().time() > began + 2 * peers.LIFE

    other = asyncio.ensure_future(consume(named("other"), long_since))
    while not other.done():
        await append(redis, stream, "A:2")
        await asyncio.sleep(POLL_EVERY)
    assert mine[0] not in ids(await other)
    away.clear()

    assert ids(await slow)[:1] == mine


async def test_a_dead_consumer_that_left_nothing_is_removed_and_one_that_stops_removes_itself(
    redis: Any, stream: str, named: Named, capsys: pytest.CaptureFixture[str]
) -> None:
    left = await left_by("dead", redis, stream, "A:1")
    await redis.xack(stream, GROUP, *left)

    async def until_alone(_: Sequence[Entry]) -> Sequence[Rejected]:
        await append(redis, stream, "A:2")
        return ()

    await append(redis, stream, "A:2")
    said: list[dict[str, Any]] = []

    def removed(_: list[Entry]) -> bool:
        said.extend(events(capsys, "stream.consumer_removed"))
        return bool(said)

    await consume(named("one"), removed, until_alone)

    assert [event["consumer"] for event in said] == ["dead"]
    assert await consumers(redis, stream) == set()
    assert not await redis.exists(alive(stream, "one"))


async def test_who_is_stopped_with_entries_in_hand_leaves_them_to_the_living_at_once(
    redis: Any, stream: str, named: Named
) -> None:
    left = await append(redis, stream, "A:1")
    with pytest.raises(ZeroDivisionError):
        await consume(named("gone"), lambda _: False, crash)
    assert not await redis.exists(alive(stream, "gone"))

    assert ids(await consume(named("one"), bool)) == left


async def test_a_claimed_entry_whose_body_is_gone_is_said_to_be_lost(
    redis: Any, stream: str, named: Named, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, kept = await left_by("dead", redis, stream, "A:1", "A:2")
    await redis.xdel(stream, gone)

    assert ids(await consume(named("one"), bool)) == [kept]
    assert [event["entry"] for event in events(capsys, "stream.entry_lost")] == [gone.decode()]
    assert await pending(redis, stream) == 0


async def test_an_acknowledgement_that_redis_lost_is_noticed_by_who_gave_it(
    redis: Any, stream: str, named: Named
) -> None:
    [entry_id] = await append(redis, stream, "A:1")
    done = 0

    async def lose_it(batch: Sequence[Entry]) -> Sequence[Rejected]:
        nonlocal done
        done += 1
        if batch[0][2] == b"A:2":  # acknowledged, and pending again: a lost tail of the AOF
            await redis.xclaim(stream, GROUP, "one", 0, [entry_id], force=True)
        if done == 1:
            await append(redis, stream, "A:2")
        return ()

    seen = await consume(named("one"), lambda seen: len(seen) == 3, lose_it)

    assert [message for _, _, message in seen] == [b"A:1", b"A:2", b"A:1"]
    assert await pending(redis, stream) == 0
