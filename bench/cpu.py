"""CPU seconds and memory of processes, each with its children, by the kernel's count."""

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
    used = {
        pid: sum(int(field) for field in fields[USER:CHILDREN_SYSTEM])
        for pid, fields in stats.items()
    }
    return {
        name: sum(used[each] for each in _tree(pid, stats)) / TICKS_A_SECOND
        for name, pid in pids.items()
    }


def peak_mb(pid: int) -> float:
    """The most memory that the process itself ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def own_mb(pids: Mapping[str, int]) -> dict[str, float]:
    """By name: what each has in memory that is nobody else's and no file's."""
    stats = _stats()
    return {name: sum(map(_own_mb, _tree(pid, stats))) for name, pid in pids.items()}


def _own_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("RssAnon:")[2].split()[0]) / 1024
    except (OSError, IndexError):  # it has ended meanwhile
        return 0.0


def _tree(pid: int, stats: dict[int, list[str]]) -> list[int]:
    children = [each for each, fields in stats.items() if int(fields[PARENT]) == pid]
    found = [each for child in children for each in _tree(child, stats)]
    return [pid, *found] if pid in stats else found


def _stats() -> dict[int, list[str]]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
    return found
