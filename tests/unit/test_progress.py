"""pipeline.progress: what all services say, and that nobody waits for what must be asked."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import orjson
import pytest
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ResponseError

from pipeline import events, progress
from pipeline.events import emit
from pipeline.progress import emit_progress, report_progress
from tests.metrics import metric, metrics_of

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capfdbinary: pytest.CaptureFixture[bytes]) -> Lines:
    """What was emitted since the last call."""
    return lambda: [orjson.loads(line) for line in capfdbinary.readouterr().out.splitlines()]


@pytest.fixture(autouse=True)
def none_yet() -> Iterator[None]:
    before = dict(events.errors)  # module state: put back for the other tests
    events.errors.clear()
    yield
    events.errors.clear()
    events.errors.update(before)


def test_errors_are_counted_by_kind_where_they_are_said(lines: Lines) -> None:
    for _ in range(3):
        emit("outage", neighbour="redis", reason="away")
    emit("outage", neighbour="postgres", reason="away")
    emit("outage.over")
    emit("log", level="error", logger="asyncio", text="odd")
    emit("service.crashed", error="ZeroDivisionError")
    emit_progress({"published": 5})

    told = metrics_of(lines()[-1])
    assert told.pop(metric("started_at")) == events.STARTED_AT
    assert told == {
        metric("published"): 5,
        metric("errors", kind="outage:redis"): 3,
        metric("errors", kind="outage:postgres"): 1,
        metric("errors", kind="log:error"): 1,
        metric("errors", kind="crash"): 1,
    }


def test_an_error_whose_line_lacks_a_field_is_counted_all_the_same(lines: Lines) -> None:
    emit("outage")
    emit_progress({})
    assert metrics_of(lines()[-1])[metric("errors", kind="outage:None")] == 1


async def refuse() -> Mapping[str, object]:
    raise ResponseError("NOPERM no permission")


async def be_away() -> Mapping[str, object]:
    raise NoConnection


async def keep_silent() -> Mapping[str, object]:
    await asyncio.Event().wait()
    return {"lag": 1}


async def lack_it() -> Mapping[str, object]:
    raise KeyError(b"writer")


@pytest.mark.parametrize("ask", [refuse, be_away, keep_silent, lack_it])
async def test_what_cannot_be_learned_is_left_out(
    ask: Callable[[], Awaitable[Mapping[str, object]]],
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "ANSWER_LIMIT", 0.01)
    said = await _report(ask, lines)
    assert all(line["rows"] == 1 and "lag" not in line for line in said)


async def test_what_was_learned_is_said(lines: Lines) -> None:
    async def answer() -> Mapping[str, object]:
        return {"lag": 7}

    assert all(line["lag"] == 7 for line in await _report(answer, lines))


async def _report(
    ask: Callable[[], Awaitable[Mapping[str, object]]], lines: Lines
) -> list[dict[str, Any]]:
    """Some lines."""
    stop, count = asyncio.Event(), 0

    def read() -> Mapping[str, object]:
        nonlocal count
        count += 1
        if count > 2:
            stop.set()
        return {"rows": 1}

    await asyncio.wait_for(report_progress(read, stop, ask, every=0.001), 10)
    said = lines()
    assert len(said) == 3
    return said
