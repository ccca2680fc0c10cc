"""CPU seconds of processes, each with its children, and their memory, by the kernel's count."""

import os
from collections.abc import Mapping
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat after the name: user, system, both of dead children.
USER, CHILDREN_SYSTEM = 11, 15
PARENT = 1


def seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """By name."""
    stats = _stats()
    return {name: _of_tree(pid, stats) for name, pid in pids.items()}


def peak_mb(pid: int) -> float:
    """The most memory that the process itself ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


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
