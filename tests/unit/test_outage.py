"""pipeline.outage and pipeline.progress: waiting for a neighbour, and saying so."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from time import monotonic
from typing import Any

import orjson
import pytest

from pipeline import outage, progress
from pipeline.outage import FIRST_PAUSE, LONGEST_PAUSE, Outage, Stopped, pause, persist
from tests.waiting import wait_until

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def lines(capfdbinary: pytest.CaptureFixture[bytes]) -> Lines:
    """What was emitted since the last call."""
    return lambda: [orjson.loads(line) for line in capfdbinary.readouterr().out.splitlines()]


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it would have waited each time."""
    asked: list[float] = []

    async def record(_: asyncio.Event, seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr(outage, "pause", record)
    return asked


class Neighbour:
    """Away for a number of calls."""

    def __init__(self, outages: int) -> None:
        self.left = outages
        self.calls = 0

    async def ask(self) -> str:
        self.calls += 1
        if self.calls <= self.left:
            raise Outage("redis", "connection refused")
        return "answer"


async def test_nothing_is_said_while_all_is_well(stop: asyncio.Event, lines: Lines) -> None:
    assert await persist(Neighbour(0).ask, stop) == "answer"
    assert lines() == []


async def test_each_pause_is_announced_and_twice_the_last_up_to_a_limit(
    stop: asyncio.Event, lines: Lines, no_pauses: list[float]
) -> None:
    assert await persist(Neighbour(9).ask, stop) == "answer"
    *outages, over = lines()
    assert [line["again_in_s"] for line in outages] == no_pauses
    assert no_pauses[0] == FIRST_PAUSE
    assert no_pauses[-1] == LONGEST_PAUSE
    assert all(later == min(2 * earlier, LONGEST_PAUSE) for earlier, later in pairwise(no_pauses))
    assert {line["event"] for line in outages} == {"outage"}
    assert {line["neighbour"] for line in outages} == {"redis"}
    assert {line["reason"] for line in outages} == {"connection refused"}
    assert over["event"] == "outage.over"
    assert over["lasted_s"] >= 0


async def test_the_end_of_a_single_pause_is_said_too(stop: asyncio.Event, lines: Lines) -> None:
    await persist(Neighbour(1).ask, stop)
    assert [line["event"] for line in lines()] == ["outage", "outage.over"]


async def test_a_bug_is_not_repeated(stop: asyncio.Event) -> None:
    calls = 0

    async def bug() -> None:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await persist(bug, stop)
    assert calls == 1


async def test_a_stop_ends_the_waiting_at_once(stop: asyncio.Event) -> None:
    neighbour = Neighbour(10**6)
    waiting = asyncio.ensure_future(persist(neighbour.ask, stop))
    await wait_until(lambda: neighbour.calls > 2)
    began = monotonic()
    stop.set()
    with pytest.raises(Stopped):
        await waiting
    assert monotonic() - began < LONGEST_PAUSE / 2


async def test_a_stop_does_not_cancel_an_attempt(stop: asyncio.Event) -> None:
    under_way, finish = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        under_way.set()
        await finish.wait()
        return "done"

    working = asyncio.ensure_future(persist(work, stop))
    await under_way.wait()
    stop.set()
    finish.set()
    assert await working == "done"


async def test_an_attempt_that_fails_after_a_stop_is_the_last(stop: asyncio.Event) -> None:
    stop.set()
    neighbour = Neighbour(1)
    with pytest.raises(Stopped):
        await persist(neighbour.ask, stop)
    assert neighbour.calls == 1


async def test_a_pause_lasts_as_long_as_asked(stop: asyncio.Event) -> None:
    began = monotonic()
    await pause(stop, 0.05)
    assert 0.04 < monotonic() - began < 2


def test_an_outage_says_who_and_why() -> None:
    assert str(Outage("postgres", "too many connections")) == "postgres: too many connections"


async def test_progress_is_repeated_until_the_stop(stop: asyncio.Event, lines: Lines) -> None:
    counters = {"published": 0}

    def count() -> dict[str, int]:
        counters["published"] += 1
        return counters

    reporting = asyncio.ensure_future(progress.report_progress(count, stop, every=0.001))
    await wait_until(lambda: counters["published"] > 3)
    stop.set()
    await reporting
    said = lines()
    assert {line["event"] for line in said} == {"progress"}
    assert [line["published"] for line in said] == list(range(1, len(said) + 1))


async def test_a_stop_ends_the_reports_without_another(stop: asyncio.Event, lines: Lines) -> None:
    reporting = asyncio.ensure_future(progress.report_progress(dict, stop, every=60))
    await asyncio.sleep(0)
    stop.set()
    await reporting
    assert lines() == []
