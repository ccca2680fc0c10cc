"""CPU seconds of the local system's processes, each with its children, by the kernel's count."""

import os
import subprocess
import sys
from pathlib import Path

import orjson

from bench.target import Target
from local.instance import ROOT

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
USER, CHILDREN_SYSTEM = (
    11,
    15,
)  # fields of /proc/PID/stat after the name: user, system, both of dead children
PARENT = 1


def seconds(target: Target) -> dict[str, float]:
    """By name; empty when the system isn't run by process-compose here."""
    asked = subprocess.run(
        [sys.executable, "-m", "local", "ctl", "process", "list", "-o", "json"],
        cwd=ROOT,
        env=os.environ | {"HTTP_PORT": str(target.http_port)},
        capture_output=True,
        check=False,
    )
    if asked.returncode != 0:
        return {}
    running = [entry for entry in orjson.loads(asked.stdout) if entry["status"] == "Running"]
    stats = _stats()
    return {entry["name"].removesuffix("-0"): _of_tree(entry["pid"], stats) for entry in running}


def _of_tree(pid: int, stats: dict[int, list[str]]) -> float:
    if pid not in stats:
        return 0.0
    ticks = sum(int(field) for field in stats[pid][USER:CHILDREN_SYSTEM])
    children = [each for each, fields in stats.items() if int(fields[PARENT]) == pid]
    return ticks / TICKS_A_SECOND + sum(_of_tree(child, stats) for child in children)


def _stats() -> dict[int, list[str]]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
    return found
