"""Disk: a small file system that can be full; only root can make it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from local.privileges import give_away, succeeds

SIZE = "256m"
WAL = ("-c", "max_wal_size=96MB")  # or that alone would fill it
PIECE = bytes(1 << 16)


def can_mount() -> bool:
    with tempfile.TemporaryDirectory(prefix="pipeline-chaos-") as folder:
        return os.geteuid() == 0 and mount(Path(folder), SIZE) and unmount(Path(folder))


def make_small(folder: Path) -> None:
    """What is in it goes to a file system of its own."""
    disk = _disk(folder)
    disk.mkdir()
    if not mount(disk, SIZE):
        raise OSError(f"no file system could be mounted on {disk}")
    shutil.move(folder, disk / folder.name)
    give_away(disk)
    folder.symlink_to(disk / folder.name)


def remove_small(folder: Path) -> None:
    if _disk(folder).is_mount():
        unmount(_disk(folder))


@contextmanager
def full(folder: Path) -> Iterator[None]:
    filler = _disk(folder) / "filler"
    try:
        fill(filler)
        yield
    finally:
        filler.unlink()


def fill(file: Path) -> None:
    """To the disk's last byte."""
    with file.open("wb", buffering=0) as opened, suppress(OSError):  # that was the last
        while True:
            opened.write(PIECE)


def mount(folder: Path, size: str) -> bool:
    return succeeds(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)])


def unmount(folder: Path) -> bool:
    return succeeds(["umount", "-l", str(folder)])


def _disk(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.disk")
