"""What a process does whose own wall clock steps, the machine's being right."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bridge.ids import id_us
from pipeline.tick import id_pair
from tests.bridging import (
    another,
    channel_of,
    have_appended,
    load,
    messages,
    numbered,
    publish,
    reaches,
    start,
)
from tests.clocks import Clock, can_step, clear
from tests.services import StartService
from tests.waiting import wait_until

HOUR = 3600.0
TICKS = 1000  # about half a second of the load


@pytest.fixture(scope="module", autouse=True)
def _cleared() -> Iterator[None]:
    yield
    clear()


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    if not can_step():
        pytest.skip("no libfaketime that works here")
    return Clock(tmp_path / "clock")


async def test_a_bridge_whose_clock_steps_under_load_goes_on_above_its_last_id_and_says_so(
    service: StartService, redis: Any, redis_url: str, stream: str, clock: Clock
) -> None:
    bridge = await start(service, redis_url, stream, **clock.environment)
    async with load(redis, stream) as sent:
        for seconds in (0.0, -HOUR, HOUR, 0.0):
            begin = sent[-1]
            clock.step(seconds)
            await wait_until(partial(reaches, redis, stream, begin + TICKS))
    await wait_until(partial(reaches, redis, stream, sent[-1]))

    ids = [entry_id for entry_id, _ in await redis.xrange(stream)]
    assert await messages(redis, stream) == numbered(0, sent[-1] + 1)
    assert all(id_pair(a) < id_pair(b) for a, b in pairwise(ids))
    assert id_us(ids[-1]) - id_us(ids[0]) == pytest.approx(HOUR * 1e6, rel=0.05)
    said = [event["seconds"] for event in bridge.events if event["event"] == "bridge.clock_behind"]
    assert said == pytest.approx([HOUR, HOUR], rel=0.05)  # after each step back, once
    assert not bridge.find("bridge.gap")


async def test_a_bridge_that_takes_over_with_a_slow_clock_goes_on_above_the_others_ids(
    service: StartService, redis: Any, redis_url: str, stream: str, clock: Clock
) -> None:
    clock.step(-HOUR)
    first = await start(service, redis_url, stream)
    second = another(service, redis_url, stream, **clock.environment)
    async with load(redis, stream) as sent:
        await second.wait_for("bridge.lined_up")
        first.kill()
        await second.wait_for("lease.taken", exact=True)
        await second.wait_for("bridge.clock_behind")
        await wait_until(partial(reaches, redis, stream, sent[-1] + TICKS))
    await wait_until(partial(reaches, redis, stream, sent[-1]))

    assert await messages(redis, stream) == numbered(0, sent[-1] + 1)
    assert not second.find("bridge.gap")


async def ten_by_one_that_died(
    service: StartService, redis: Any, redis_url: str, stream: str
) -> None:
    bridge = await start(service, redis_url, stream)
    await publish(redis, stream, *numbered(0, 10))
    await have_appended(redis, stream, 10)
    bridge.kill()


async def test_a_bridge_that_starts_with_a_clock_behind_the_ids_says_that_nobody_listened(
    service: StartService, redis: Any, redis_url: str, stream: str, clock: Clock
) -> None:
    await ten_by_one_that_died(service, redis, redis_url, stream)
    await publish(redis, stream, b"A:1000000")  # nobody hears this one
    clock.step(-HOUR)
    second = await start(service, redis_url, stream, **clock.environment)
    await publish(redis, stream, *numbered(10, 20))
    await have_appended(redis, stream, 20)

    assert await messages(redis, stream) == numbered(0, 20)
    gap = await second.wait_for("bridge.gap", reason="start")
    assert 0 <= gap["seconds"] < 60
    [last, *_] = (await redis.xrange(stream))[9]
    assert gap["after"] == last.decode()


async def test_a_slow_clock_at_the_start_costs_no_price_that_is_the_last_one_again(
    service: StartService, redis: Any, redis_url: str, stream: str, clock: Clock
) -> None:
    await ten_by_one_that_died(service, redis, redis_url, stream)
    clock.step(-HOUR)
    second, heard = another(service, redis_url, stream, **clock.environment), 0
    while not second.find("lease.taken"):  # some of it is waiting when the lease is taken
        heard += await redis.publish(channel_of(stream), b"A:9")
    assert heard
    await publish(redis, stream, b"A:10")
    await wait_until(partial(reaches, redis, stream, 10))

    assert await messages(redis, stream) == [*numbered(0, 10), *[b"A:9"] * heard, b"A:10"]


async def test_a_gap_is_as_long_as_it_was_whatever_the_clock_did_meanwhile(
    service: StartService, redis: Any, redis_url: str, stream: str, clock: Clock
) -> None:
    bridge = await start(service, redis_url, stream, **clock.environment)
    for seconds in (-HOUR, HOUR):
        since = len(bridge.events)
        clock.step(seconds)
        await redis.client_kill_filter(_type="pubsub")
        gap = await bridge.wait_for("bridge.gap", since=since, reason="reconnect")
        assert 0 < gap["seconds"] < 60
        await bridge.wait_for("bridge.subscribed", since=since)
