"""Not running as root, which PostgreSQL refuses and nothing here needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from local.instance import CannotRun

NOBODY = 65534  # the one uid with a name on every system; initdb asks for one
UNPRIVILEGED_PORTS = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def unprivileged() -> list[str]:
    """What to put before a command so that it does not run as root; nothing for an ordinary user.

    In a user namespace root looks like nobody while its files stay its own: no chown, no new
    account, no right over anybody else's. Where that is forbidden, as in most containers, the
    process becomes nobody for real.
    """
    if os.geteuid() != 0:
        return []
    mapped = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--"]
    if shutil.which("unshare") and succeeds([*mapped, "true"]):
        return mapped
    if not shutil.which("setpriv"):
        raise CannotRun("as root this needs the programs unshare and setpriv: install util-linux")
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]


def give_away(folder: Path) -> None:
    """Give the folder to nobody, if that is who our processes become."""
    if unprivileged()[:1] == ["setpriv"]:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def check_access(python: Path, root: Path) -> None:
    """Nobody cannot enter a closed folder, such as root's home."""
    prefix = unprivileged()
    # By way of a shell: what setpriv itself starts is still found with root's eyes.
    trial = ["sh", "-c", '"$0" -c "import json" && test -r "$1"', str(python), str(root / ".env")]
    if prefix[:1] == ["setpriv"] and not succeeds([*prefix, *trial]):
        raise CannotRun(
            "Where root may not make user namespaces, the processes become nobody, and nobody may\n"
            f"not use {root}\nor its Python, {python.resolve()}.\n"
            "Use a folder and a Python that others can reach, or start it as an ordinary user."
        )


def lowest_port() -> int:
    """What processes without root's rights may listen on."""
    return int(UNPRIVILEGED_PORTS.read_text())


def succeeds(line: list[str]) -> bool:
    quiet = subprocess.DEVNULL
    return subprocess.run(line, stdout=quiet, stderr=quiet, check=False).returncode == 0  # noqa: S603  # our own command lines
