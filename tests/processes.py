"""Processes by their ids: who descends from whom, and signals to exactly those."""

import os
import signal
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def descendants(pid: int) -> list[int]:
    """All living descendants, parents before their children."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)):
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        queue = [child for parent in queue for child in children.get(parent, [])]
        found += queue
    return found


def command_line(pid: int) -> str:
    """Empty for a process that has ended."""
    with suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return ""


def alive(pid: int) -> bool:
    """A zombie isn't: it only waits for its parent to look."""
    return _stat(PROC / str(pid))[:1] not in ([], ["Z"])


def signal_tree(pid: int, number: signal.Signals) -> None:
    """PostgreSQL is many processes: a paused postmaster alone would take nothing away."""
    for each in (pid, *descendants(pid)):
        with suppress(ProcessLookupError):
            os.kill(each, number)


def _parent(entry: Path) -> int | None:
    fields = _stat(entry)
    return int(fields[1]) if fields and fields[0] != "Z" else None


def _stat(entry: Path) -> list[str]:
    """State, parent and what follows; the name before them may contain anything."""
    with suppress(OSError):
        return (entry / "stat").read_text().rpartition(")")[2].split()
    return []
