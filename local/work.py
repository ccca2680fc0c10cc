"""Work that takes a while: several pieces at once, progress on screen, one end for all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TextIO

from local.instance import CannotRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

LINES_SHOWN = 15  # of a failed command's output
SECONDS_BETWEEN_LINES = 10  # where there is no terminal to rewrite a line on
CLEAR_LINE = "\r\033[K"
PATIENCE = 5  # seconds from SIGTERM to SIGKILL

# What tools say when they cannot reach their registry.
UNREACHABLE = re.compile(
    r"Could not fetch URL|Max retries exceeded|[Nn]ame resolution|NameResolutionError|"
    r"NewConnectionError|ReadTimeoutError|No matching distribution found|No route to host|"
    r"[Cc]onnection refused|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|no such host|dial tcp|"
    r"i/o timeout|module lookup disabled"
)


def say(text: str, *, to: TextIO | None = None) -> None:
    """To the person at the terminal."""
    print(text, file=to or sys.stdout, flush=True)


class Work:
    """Runs commands as named pieces; the first failure, or a signal, ends the others too."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._lock = threading.Lock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._began: dict[str, float] = {}
        self._stopping = False
        self._terminal = sys.stdout.isatty()
        self._last_shown = time.monotonic()

    def run(
        self,
        what: str,
        line: list[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """One command, named by what it does; its output goes to a file."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{what.replace(' ', '-')}.log"
        with log.open("wb") as output:
            with self._lock:
                if self._stopping:
                    raise CannotRun("stopped")
                child = subprocess.Popen(  # noqa: S603  # our own command lines
                    line,
                    cwd=folder,
                    env={**os.environ, **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # so it can be ended with all that it started
                )
                self._children[what], self._began[what] = child, time.monotonic()
            self._say(f"{what} ...")
            code = child.wait()
        with self._lock:
            del self._children[what]
            seconds = time.monotonic() - self._began.pop(what)
        if code != 0:
            raise CannotRun(_explanation(what, log))
        self._say(f"{what}: done in {seconds:.0f} s")

    def together(self, *jobs: Callable[[], None]) -> None:
        """Do the jobs at the same time."""
        with ThreadPoolExecutor(len(jobs)) as pool:
            futures = [pool.submit(job) for job in jobs]
            try:
                while wait(futures, timeout=1, return_when=FIRST_EXCEPTION).not_done:
                    for future in futures:
                        if future.done():
                            future.result()
                    self._show_running()
                for future in futures:
                    future.result()
            except BaseException:
                self._stop()
                raise

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            children = list(self._children.values())
        for child in children:
            _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and any(child.poll() is None for child in children):
            time.sleep(0.05)
        for child in children:
            _signal_group(child, signal.SIGKILL)

    def _say(self, text: str) -> None:
        say(f"{CLEAR_LINE}{text}" if self._terminal else text)

    def _show_running(self) -> None:
        now = time.monotonic()
        if not self._terminal and now - self._last_shown < SECONDS_BETWEEN_LINES:
            return
        self._last_shown = now
        with self._lock:
            parts = [f"{what}: {now - began:.0f} s" for what, began in self._began.items()]
        text = ", ".join(parts)
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1  # a wrapped line could not be cleared
            sys.stdout.write(f"{CLEAR_LINE}{text[:width]}")
            sys.stdout.flush()
        elif text:
            say(text)


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _explanation(what: str, log: Path) -> str:
    text = log.read_text(errors="replace")
    last = "\n".join(f"  | {line}" for line in text.splitlines()[-LINES_SHOWN:])
    reason = ""
    if UNREACHABLE.search(text):
        reason = "\nIts package registry could not be reached: is there a network, a proxy to set?"
    return f"{what} failed:\n{last}{reason}\nThe whole output is in {log}"
