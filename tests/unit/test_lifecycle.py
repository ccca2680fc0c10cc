"""pipeline.lifecycle: real processes, from their environment to their exit code."""

import signal
import subprocess
import sys

import pytest

from pipeline import lifecycle
from tests.services import ROOT, Service, StartService

SERVICES = ["generator", "bridge", "forwarder", "writer", "api"]
NOBODY = "redis://127.0.0.1:1/0"  # nothing listens there
ODD = "tests.odd_service"


@pytest.fixture
def odd(service: StartService) -> StartService:
    def start(behaviour: str, *arguments: str, **environment: object) -> Service:
        given = {"REDIS_URL": NOBODY, "BEHAVIOUR": behaviour} | environment
        return service(ODD, *arguments, **given)

    return start


async def test_sigterm_ends_it_with_exit_0(odd: StartService) -> None:
    process = odd("obey")
    await process.wait_for("service.started")
    assert await process.terminate() == 0
    assert [event["event"] for event in process.events] == ["service.started", "service.stopped"]


async def test_ctrl_c_ends_it_like_sigterm(odd: StartService) -> None:
    process = odd("obey")
    await process.wait_for("service.started")
    process.signal(signal.SIGINT)
    assert await process.exit_code() == 0
    assert process.noise == []


async def test_work_in_hand_is_finished_before_the_exit(odd: StartService) -> None:
    process = odd("drain")
    await process.wait_for("service.started")
    assert await process.terminate() == 0
    assert [event["event"] for event in process.events[1:]] == ["progress", "service.stopped"]


async def test_a_service_that_ends_by_itself_has_stopped(odd: StartService) -> None:
    process = odd("end")
    assert await process.exit_code() == 0
    assert process.find("service.stopped")


async def test_a_bug_is_one_line_with_its_traceback_and_exit_1(odd: StartService) -> None:
    process = odd("crash")
    assert await process.exit_code() == 1
    crash = await process.wait_for("service.crashed")
    assert crash["error"] == "ZeroDivisionError"
    assert "in main" in crash["trace"]
    assert "a bug" in crash["trace"]
    assert process.noise == []


async def test_a_stop_that_takes_too_long_is_said_and_exit_1(odd: StartService) -> None:
    process = odd("hang")
    await process.wait_for("service.started")
    assert await process.terminate() == 1
    assert await process.wait_for("service.stop_timeout", limit_s=lifecycle.STOP_LIMIT)
    assert not process.find("service.stopped")


async def test_libraries_log_in_our_format(odd: StartService) -> None:
    process = odd("warn")
    assert await process.exit_code() == 0
    assert await process.wait_for("log", level="warning", logger="third.party", text="odd")


async def test_consumer_names_the_instance(odd: StartService) -> None:
    process = odd("end", CONSUMER="odd-7")
    assert await process.exit_code() == 0
    assert {(event["service"], event["instance"]) for event in process.events} == {("odd", "odd-7")}


async def test_every_wrong_variable_is_named_but_never_its_value(service: StartService) -> None:
    process = service(ODD, BEHAVIOUR="secret-one", REDIS_URL="secret-two", INTERVAL="secret-three")
    assert await process.exit_code() == 2
    (line,) = process.events
    assert line["event"] == "service.misconfigured"
    assert line["variables"].keys() == {"BEHAVIOUR", "REDIS_URL", "INTERVAL"}
    assert "secret" not in str(line)
    assert process.noise == []


@pytest.mark.parametrize("name", SERVICES)
async def test_a_missing_variable_is_named_without_a_traceback(
    service: StartService, name: str
) -> None:
    process = service(name)
    assert await process.exit_code() == 2
    (line,) = process.events
    assert (line["event"], line["service"]) == ("service.misconfigured", name)
    assert line["variables"]["REDIS_URL"] == "Field required"
    assert process.noise == []


@pytest.mark.parametrize("name", SERVICES)
def test_help_lists_every_variable_with_its_default(name: str) -> None:
    text = _help(name)
    assert text.startswith(f"usage: python -m {name}")
    assert f"{name}: " in text
    assert (
        "REDIS_URL            Redis or Valkey, as redis://user:password@host:port/0 (required)"
        in text
    )
    assert "STREAM               key of the tick stream (default ticks)" in text
    assert " None " not in text


def test_help_writes_defaults_as_the_environment_would() -> None:
    text = _help(ODD)
    assert "(default NYSE,NASDAQ)" in text
    assert "(default 5)" in text
    assert "(default none)" in text  # HEARTBEAT_FILE


async def test_there_are_no_options(service: StartService) -> None:
    assert await service("generator", "--verbose", REDIS_URL=NOBODY).exit_code() == 2


def _help(module: str) -> str:
    return subprocess.run(  # noqa: S603  # our own module
        [sys.executable, "-m", module, "--help"],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
