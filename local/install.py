"""Brings what a start needs and is not there; changes .run, web and the user's cache only."""

from __future__ import annotations

import fcntl
import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local import go_tools, page_libraries, python_packages
from local.instance import CannotRun
from local.python_packages import RUN
from local.work import Work, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLDEST_GLIBC = (2, 28)


def install(*, dev: bool) -> None:
    """Do what is missing, in parallel where nothing depends on it; silent when nothing is."""
    if _is_complete(dev=dev):
        return
    _check_platform()
    RUN.mkdir(exist_ok=True)
    with _alone():
        if _is_complete(dev=dev):  # another start has done it meanwhile
            return
        work = Work(RUN / "logs")
        jobs: list[Callable[[], None]] = []
        python = not python_packages.is_current(dev=dev)
        if python:
            work.together(lambda: python_packages.make_venv(work))
            jobs.append(lambda: python_packages.install(work, dev=dev))
        if not go_tools.is_current(dev=dev):
            jobs.append(lambda: go_tools.install(work, dev=dev))
        if not page_libraries.is_current():
            jobs.append(lambda: page_libraries.install(work))
        work.together(*jobs)


def _is_complete(*, dev: bool) -> bool:
    python = python_packages.is_current(dev=dev)
    return python and go_tools.is_current(dev=dev) and page_libraries.is_current()


def _check_platform() -> None:
    machine, system = platform.machine(), platform.system()
    if system != "Linux" or machine not in {"x86_64", "aarch64"}:
        raise CannotRun(f"the servers need Linux on x86-64 or arm64; this is {system} on {machine}")
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(map(int, version.split(".")[:2])) < OLDEST_GLIBC:
        raise CannotRun(
            f"the servers need glibc 2.28 or newer; this is {name or 'no glibc'} {version}"
        )


@contextmanager
def _alone() -> Iterator[None]:
    with (RUN / "install.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start of this checkout is installing; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
