"""Clock: the wall clock of one process, stepped by libfaketime; the machine's stays as it is."""

import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

FAR = 1_000_000.0  # seconds, which no process takes to start
ASK = "import time; print(time.time())"
LIMIT = 10.0
SHARED = Path("/dev/shm")  # noqa: S108  # where libfaketime puts it


class Clock:
    """Right until it is stepped; a process that starts later with it has the step, too."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.step(0)

    @property
    def environment(self) -> dict[str, str]:
        """For the process: its monotonic clock and the times of files are real."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: float) -> None:
        """So far from the machine's clock, from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+.6f}\n")
        new.replace(self._file)  # in one step: it is read at each look at the clock


def library() -> Path | None:
    """Where the package that only tests install has it; the package itself isn't imported."""
    found = find_spec("libfaketime")
    if not found or not found.origin:
        return None
    return Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"


def can_step() -> bool:
    """Whether it does its work here: what the wheel brings is for x86-64 and glibc."""
    if library() is None:
        return False
    with tempfile.TemporaryDirectory(prefix="pipeline-clock-") as folder:
        clock = Clock(Path(folder) / "clock")
        clock.step(FAR)
        asked = subprocess.run(  # noqa: S603  # our own command line
            [sys.executable, "-c", ASK],
            env=os.environ | clock.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    said = asked.stdout.strip()
    return bool(said) and float(said) - time.time() > FAR / 2


def clear() -> None:
    """Remove the shared memory of processes that were killed: it would stay until a restart."""
    for left in SHARED.glob("*faketime_s*_*"):
        if not Path("/proc", left.name.rpartition("_")[2]).exists():
            left.unlink(missing_ok=True)
