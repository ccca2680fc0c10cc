"""pipeline.events: one JSON object a line, in one format for all."""

import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import gethostname
from typing import Any

import orjson
import pytest

from pipeline import events
from pipeline.events import EventHandler, beat, emit, identify


@pytest.fixture(autouse=True)
def identity() -> Iterator[None]:
    before = dict(events._identity)  # noqa: SLF001  # module state: put back for the other tests
    yield
    events._identity.update(before)  # noqa: SLF001  # as above


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger, handler = logging.getLogger("third.party"), EventHandler()
    logger.addHandler(handler)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)
    logger.propagate = True


def one_line(captured: pytest.CaptureFixture[bytes]) -> dict[str, Any]:
    (line,) = captured.readouterr().out.splitlines(keepends=True)
    assert line.endswith(b"\n")
    decoded: dict[str, Any] = orjson.loads(line)
    return decoded


def test_a_line_says_when_who_and_what_in_this_order(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    identify("writer", "writer-1")
    emit("progress", stored=5, note="a\nb")
    line = one_line(capfdbinary)
    assert list(line) == ["at", "service", "instance", "event", "stored", "note"]
    assert (line["service"], line["instance"]) == ("writer", "writer-1")
    assert line["note"] == "a\nb"
    at = datetime.fromisoformat(line["at"])
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=10)


def test_without_a_name_the_host_is_the_instance(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    identify("bridge")
    emit("service.started")
    assert one_line(capfdbinary)["instance"] == gethostname()


def test_any_value_can_be_logged(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    emit("outage", error=ValueError("odd"), where=Path("/x"), lasted=timedelta(seconds=1))
    line = one_line(capfdbinary)
    assert (line["error"], line["where"], line["lasted"]) == ("odd", "/x", "0:00:01")


def test_a_library_logs_in_the_same_format(
    capfdbinary: pytest.CaptureFixture[bytes], logger: logging.Logger
) -> None:
    logger.warning("slow: %s s", 3)
    line = one_line(capfdbinary)
    assert (line["event"], line["level"], line["logger"], line["text"]) == (
        "log",
        "warning",
        "third.party",
        "slow: 3 s",
    )
    assert "trace" not in line


def test_a_traceback_stays_in_the_line(
    capfdbinary: pytest.CaptureFixture[bytes], logger: logging.Logger
) -> None:
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        logger.exception("broken")
    line = one_line(capfdbinary)
    assert line["level"] == "error"
    assert "ZeroDivisionError: by zero" in line["trace"]


def test_a_heartbeat_is_a_touch(tmp_path: Path) -> None:
    heartbeat = tmp_path / "alive"
    beat(heartbeat)
    os.utime(heartbeat, (0, 0))
    beat(heartbeat)
    assert heartbeat.stat().st_mtime > 0


def test_without_a_heartbeat_file_nothing_happens() -> None:
    beat(None)
