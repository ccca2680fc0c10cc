"""Who is in the way of a start: the same instance, what a killed one left, a stranger's port."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from local.instance import LOOPBACK, ROOT, CannotRun
from local.privileges import lowest_port

if TYPE_CHECKING:
    from local.instance import Instance

WIDTH = 90  # of a command line that is shown
LISTENING = "0A"  # in /proc/net/tcp
USES_OF_PORTS = (
    "nginx",
    "redis",
    "postgres",
    "centrifugo",
    "centrifugo's own API",
    "api",
    "vector",
)


def claim(instance: Instance) -> None:
    """Hold the instance while any of its processes lives: they all inherit the open lock file."""
    instance.data.mkdir(parents=True, exist_ok=True)
    lock = os.open(instance.data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotRun(_who_holds(instance)) from None
    os.set_inheritable(lock, True)  # noqa: FBT003  # its only argument


def check_ports(instance: Instance) -> None:
    """Every port must be free; the message names port, variable and, if it can, the process."""
    if instance.http_port < lowest_port():
        raise CannotRun(
            f"HTTP_PORT={instance.http_port} is reserved for root, whom nothing here runs as; "
            f"ports from {lowest_port()} on are free to use"
        )
    for offset, name in enumerate(USES_OF_PORTS):
        host, port = LOOPBACK if offset else instance.http_host, instance.http_port + offset
        try:
            with socket.socket() as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise CannotRun(f"HTTP_HOST={host} cannot be used: {error.strerror}") from None
            variable = f"HTTP_PORT + {offset}" if offset else "HTTP_PORT"
            raise CannotRun(
                f"port {port} ({variable}, for {name}) is taken by {_listener(port)}.\n"
                "Free it, or choose another HTTP_PORT: seven ports from that on must be free."
            ) from None


def _who_holds(instance: Instance) -> str:
    commands = {pid: _command_of(pid) for pid in _processes_of(instance)}
    for pid, command in commands.items():
        if command.endswith(" -m local") or "process-compose" in command.partition(" -U ")[0]:
            return (
                f"this instance (HTTP_PORT={instance.http_port}) runs already, as process {pid}.\n"
                "Stop it with Ctrl-C where it runs, or with `kill` and that number.\n"
                "For a second one beside it choose another HTTP_PORT, "
                f"at least {len(USES_OF_PORTS)} away."
            )
    lines = "\n".join(f"  {pid} {_shown(command)}" for pid, command in commands.items())
    return (
        f"an earlier start of this instance (HTTP_PORT={instance.http_port}) was killed and left\n"
        f"{lines}\nEnd them, then start again; the data is safe:\n"
        f"  kill {' '.join(map(str, commands))}"
    )


def _processes_of(instance: Instance) -> list[int]:
    """All that have the lock file open, but for their children, which end with them."""
    lock = str(instance.data / "lock")
    found = [pid for pid in _pids() if pid != os.getpid() and lock in _open_files(pid)]
    return [pid for pid in found if _parent_of(pid) not in found]


def _listener(port: int) -> str:
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:] if Path(table).exists() else ():
            columns = row.split()
            if columns[3] == LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{columns[9]}]")
    for pid in _pids():
        if sockets & _open_files(pid):
            return f"process {pid} ({_shown(_command_of(pid))})"
    return "a process of another user"


def _pids() -> list[int]:
    return sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _open_files(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):  # it is gone, or another user's
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(str(descriptor.readlink()))
    return found


def _shown(command: str) -> str:
    return command.replace(f"{ROOT}/", "")[:WIDTH]


def _parent_of(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _command_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").split()
        return b" ".join(words).decode(errors="replace")
    except OSError:
        return "(its command line cannot be read)"
