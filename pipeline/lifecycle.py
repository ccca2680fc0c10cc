"""run(): a service from its environment to its exit code."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import uvloop
from pydantic import ValidationError

from pipeline.events import EventHandler, emit, identify
from pipeline.outage import Stopped
from pipeline.progress import emit_progress
from pipeline.settings import SECRETS, Environment

STOP_LIMIT = 9.0  # seconds from the signal to the exit; Docker kills after 10
MISCONFIGURED = 2
INTERRUPTED = 130
# New containers, less those that went, until the garbage collector looks. A read of a few thousand
# messages makes as many; its own 700 to 2,000 would be reached several times in each, for nothing.
COLLECT_EVERY = 100_000

S = TypeVar("S", bound=Environment)
S_contra = TypeVar("S_contra", bound=Environment, contravariant=True)


class Tool(Protocol[S_contra]):
    """What a service's program can do once, for a person, instead of its work."""

    def add_options(self, parser: argparse.ArgumentParser) -> None: ...

    def chosen(
        self, parser: argparse.ArgumentParser, arguments: argparse.Namespace
    ) -> Callable[[S_contra], Coroutine[Any, Any, int]] | None:
        """What returns the exit code; None is the service itself."""


def run(
    service: str,
    settings_class: type[S],
    main: Callable[[S, asyncio.Event], Awaitable[None]],
    tool: Tool[S] | None = None,
) -> None:
    """Read the settings, run `main(settings, stop)` until a signal sets `stop`, and exit.

    Exit codes: 0 stopped as asked, 1 a bug, a stop that took too long, or a stop before that was
    done for which others wait (`main` raises Stopped), 2 wrong environment.
    """
    identify(service, os.environ.get("CONSUMER"))
    logging.basicConfig(level=logging.WARNING, handlers=[EventHandler()], force=True)
    once = _parse_arguments(service, settings_class, tool)
    try:
        # The argument is pydantic-settings' own; it complains of a folder that isn't there.
        settings = settings_class(_secrets_dir=SECRETS if SECRETS.is_dir() else None)
    except ValidationError as error:
        # Names and reasons only: the rejected values may be secrets.
        problems = {str(item["loc"][0]).upper(): item["msg"] for item in error.errors()}
        emit("service.misconfigured", variables=problems)
        sys.exit(MISCONFIGURED)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            sys.exit(runner.run(once(settings) if once else _supervise(main, settings)))
        except KeyboardInterrupt:  # a service has a handler of its own
            sys.exit(INTERRUPTED)


async def _supervise(main: Callable[[S, asyncio.Event], Awaitable[None]], settings: S) -> int:
    gc.freeze()  # what was imported stays
    gc.set_threshold(COLLECT_EVERY)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    emit("service.started")
    work = asyncio.ensure_future(main(settings, stop))
    asked = asyncio.ensure_future(stop.wait())
    await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({work}, timeout=STOP_LIMIT)
    asked.cancel()
    if not work.done():
        emit("service.stop_timeout", limit_s=STOP_LIMIT)
        work.cancel()
        await asyncio.wait({work}, timeout=1)
        return 1
    error = work.exception()
    if isinstance(error, Stopped):
        emit("service.stopped", unfinished=True)
        return 1
    if error:
        emit(
            "service.crashed",
            error=type(error).__name__,
            trace="".join(traceback.format_exception(error)),
        )
        emit_progress({})  # the crash is a metric, too
        return 1
    emit("service.stopped")
    return 0


def _parse_arguments(
    service: str, settings_class: type[S], tool: Tool[S] | None
) -> Callable[[S], Coroutine[Any, Any, int]] | None:
    """There are no options but the tool's and --help, which lists the environment variables."""
    sentence = sys.modules["__main__"].__doc__
    rows = []
    for name, field in settings_class.model_fields.items():
        usual = _shown(field.get_default(call_default_factory=True))
        default = "required" if field.is_required() else f"default {usual}"
        rows.append(f"  {name.upper():<20} {field.description} ({default})")
    parser = argparse.ArgumentParser(
        prog=f"python -m {service}",
        description=sentence,
        epilog="environment variables:\n" + "\n".join(rows),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if tool:
        tool.add_options(parser)
    arguments = parser.parse_args()
    return tool.chosen(parser, arguments) if tool else None


def _shown(default: object) -> str:
    if hasattr(default, "total_seconds"):
        return f"{default.total_seconds():g}"
    if isinstance(default, tuple):
        return ",".join(default)
    return "none" if default is None else str(default)
