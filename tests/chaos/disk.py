"""Disk: a small file system for PostgreSQL, so that it can be full; only root can make it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.privileges import give_away, succeeds

SIZE = "256m"
WAL = ("-c", "max_wal_size=96MB")  # or that alone would fill it
PIECE = bytes(1 << 16)


def can_mount() -> bool:
    with tempfile.TemporaryDirectory(prefix="pipeline-chaos-") as folder:
        return os.geteuid() == 0 and _mount(Path(folder)) and _unmount(Path(folder))


def make_small(folder: Path) -> None:
    """What is in it goes to a file system of its own."""
    disk = _disk(folder)
    disk.mkdir()
    if not _mount(disk):
        raise OSError(f"no file system could be mounted on {disk}")
    shutil.move(folder, disk / folder.name)
    give_away(disk)
    folder.symlink_to(disk / folder.name)


def remove_small(folder: Path) -> None:
    if _disk(folder).is_mount():
        _unmount(_disk(folder))


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """To the last byte."""
    filler = _disk(folder) / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(PIECE):
                    pass
            except OSError:  # that was the last
                pass
        yield
    finally:
        filler.unlink()


def _disk(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.disk")


def _mount(folder: Path) -> bool:
    return succeeds(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)])


def _unmount(folder: Path) -> bool:
    return succeeds(["umount", "-l", str(folder)])
