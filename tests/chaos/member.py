"""Member: one process of the stack, under the same name however often it is started."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.processes import signal_tree
from tests.services import ROOT


class Member:
    def __init__(self, line: list[str], environment: dict[str, str], log: Path) -> None:
        self._line = line
        self._environment = environment
        self.log = log
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own command line
                self._line,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us
            )

    @property
    def pid(self) -> int:
        assert self._process, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self, limit: float) -> None:
        assert self._process
        self._process.wait(limit)

    def send(self, number: signal.Signals) -> None:
        """To exactly this process; one that has just ended by itself needs none."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def send_all(self, number: signal.Signals) -> None:
        """PostgreSQL and nginx are many processes: to stop answering, all have to stop."""
        if self.running:
            signal_tree(self.pid, number)
