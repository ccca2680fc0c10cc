"""What a consumer's name and heartbeat are good for, and what nobody may conclude from them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

import pytest

from pipeline import peers
from pipeline.stream import Entry, Rejected
from tests.consuming import (
    AT_MOST_TEN,
    GROUP,
    Named,
    alive,
    append,
    consume,
    consumers,
    events,
    has_group,
    ids,
    is_pending,
    left_by,
    pending,
)
from tests.waiting import POLL_EVERY, wait_until

pytestmark = pytest.mark.usefixtures("quick_peers")


async def test_two_processes_of_one_name_get_two_and_no_entry_twice(
    redis: Any, stream: str, named: Named, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[bytes] = []
    names: set[bytes] = set()

    async def note(batch: Sequence[Entry]) -> Sequence[Rejected]:
        names.update(await consumers(redis, stream))
        seen.extend(ids(batch))
        return ()

    def enough(_: list[Entry]) -> bool:
        return len(names) >= 2 and len(seen) > 200

    both = [
        asyncio.ensure_future(consume(named("one"), enough, note, AT_MOST_TEN)) for _ in range(2)
    ]
    sent: list[bytes] = []
    while not all(each.done() for each in both):
        sent += await append(redis, stream, *["A:1"] * 10)
        await asyncio.sleep(POLL_EVERY)
    [first, second] = [len(each) for each in await asyncio.gather(*both)]

    assert first
    assert second
    assert len(seen) == len(set(seen)) == sent.index(max(seen)) + 1
    [taken] = events(capsys, "stream.name_taken")
    assert names == {b"one", taken["instead"].encode()}


async def test_who_finds_its_name_taken_when_it_wakes_takes_another(
    redis: Any, stream: str, named: Named, capsys: pytest.CaptureFixture[str]
) -> None:
    async def steal(_: Sequence[Entry]) -> Sequence[Rejected]:
        await redis.set(alive(stream, "one"), "somebody", px=60_000)
        await wait_until(lambda: _other_heartbeat(redis, stream))
        return ()

    await append(redis, stream, "A:1")
    await consume(named("one"), bool, steal)

    [taken] = events(capsys, "stream.name_taken")
    assert taken["consumer"] == "one"
    assert await redis.get(alive(stream, "one")) == b"somebody"
    assert await pending(redis, stream) == 0


async def test_heartbeats_that_vanish_all_at_once_are_nobodys_death(
    redis: Any,
    stream: str,
    named: Named,
    quick_peers: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As in a restart of Redis that takes longer than they live."""
    quick_peers.setattr(peers, "LOOK_EVERY", 0)
    quick_peers.setattr(peers, "GRACE", 1.5)  # for a machine that is busy with other tests
    await append(redis, stream, "A:1")
    vanished = 0

    async def hold(batch: Sequence[Entry]) -> Sequence[Rejected]:
        nonlocal vanished
        while batch[0][2] == b"A:1" and vanished < 2:
            await redis.xgroup_createconsumer(stream, GROUP, "dead")
            await wait_until(lambda: _is_removed(redis, stream, b"dead"))  # the other one judges
            await redis.delete(alive(stream, "one"), alive(stream, "two"))
            await wait_until(lambda: redis.exists(alive(stream, "two")))
            await wait_until(lambda: redis.exists(alive(stream, "one")))
            vanished += 1
        return ()

    one = asyncio.ensure_future(consume(named("one"), bool, hold))
    await wait_until(lambda: has_group(redis, stream))
    await wait_until(lambda: is_pending(redis, stream, 1))
    often = timedelta(milliseconds=5)
    two = asyncio.ensure_future(consume(named("two", block=often), bool))
    await one
    await append(redis, stream, "A:2")

    assert [message for _, _, message in await two] == [b"A:2"]
    assert events(capsys, "stream.claimed") == []


async def test_a_claim_sent_before_all_heartbeats_vanished_judges_nobody_after_it(
    redis: Any, stream: str, named: Named, quick_peers: pytest.MonkeyPatch
) -> None:
    """Redis may take a beat, and then a claim sent before the beat's reply was read."""
    quick_peers.setattr(peers, "LOOK_EVERY", 0)
    await left_by("other", redis, stream, "A:1")
    stop = asyncio.Event()

    class LateReply:
        """Redis, whose reply to a beat arrives when a claim has been answered."""

        held = False

        async def eval(self, *arguments: Any) -> Any:
            reply = await redis.eval(*arguments)
            if self.held and reply == -1:
                self.held = False
                claimed.append(await one.claim())
            return reply

    late = LateReply()
    claimed: list[bool] = []
    one = peers.Peers(cast("Any", late), GROUP, named("one"))
    async with one.joined(stop):
        await redis.set(alive(stream, "other"), "it lives")
        await wait_until(lambda: _may_judge(one, redis, stream))
        late.held = True
        await redis.delete(alive(stream, "one"), alive(stream, "other"))
        await wait_until(lambda: claimed)

    assert claimed == [False]
    [other] = await redis.xinfo_consumers(stream, GROUP)
    assert (other["name"], other["pending"]) == (b"other", 1)


async def test_a_stop_whose_cancellation_a_beat_swallows_ends_all_the_same(
    redis: Any, stream: str, named: Named
) -> None:
    beating = asyncio.Event()

    class Swallowing:
        """Redis through a client that answers although it was cancelled."""

        async def eval(self, *arguments: Any) -> Any:
            reply = await redis.eval(*arguments)
            if reply == 0:  # not the first beat
                beating.set()
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            return reply

    one = peers.Peers(cast("Any", Swallowing()), GROUP, named("one"))
    async with asyncio.timeout(10):
        async with one.joined(asyncio.Event()):
            await beating.wait()
    assert not await redis.exists(alive(stream, "one"))


async def _may_judge(one: peers.Peers, redis: Any, stream: str) -> bool:
    """Shown by the removal of somebody who left nothing."""
    await redis.xgroup_createconsumer(stream, GROUP, "dead")
    await one.claim()
    return b"dead" not in await consumers(redis, stream)


async def _is_removed(redis: Any, stream: str, name: bytes) -> bool:
    return name not in await consumers(redis, stream)


async def _other_heartbeat(redis: Any, stream: str) -> bool:
    return bool(await redis.keys(alive(stream, "one-*").replace("{", "\\{")))
