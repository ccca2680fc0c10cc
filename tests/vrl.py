"""The programs in config/vector/vector.yaml, compiled and run by Vector's own compiler."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import orjson

from local.python_packages import PYTHON, RUN, pip_install
from tests.services import ROOT

IMAGE = "python:3.13-slim"
CONFIGURATION = ROOT / "config" / "vector" / "vector.yaml"
RUNNER = ROOT / "tests" / "vrl_runner.py"
LOCK = ROOT / "tests" / "requirements-vrl.txt"
OLD = "import sys; sys.exit(sys.version_info < (3, 12))"
LIMIT = 120.0
ASSIGNED = ". = rows"

Row = dict[str, Any]


def rows(lines: Sequence[str], runner: Sequence[str] = ()) -> list[list[Row] | None]:
    """By line: the rows that Vector makes of it, or None if it refuses it."""
    text = program("rows")
    assert text.endswith(ASSIGNED)
    # Vector fans an assigned array out; the binding alone can't show one.
    text = text.removesuffix(ASSIGNED) + '. = {"rows": encode_json(rows)}'
    made = run(text, [{"message": line} for line in lines], runner)
    return [None if "error" in each else orjson.loads(each["rows"]) for each in made]


def run(text: str, events: Sequence[object], runner: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What becomes of each event; `error` in those that the program refuses."""
    done = subprocess.run(  # noqa: S603  # an interpreter that was looked for
        [*(runner or [*an_interpreter(), str(RUNNER)])],
        input=orjson.dumps([text, events]),
        env=os.environ | {"PYTHONPATH": str(package())},
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return list(orjson.loads(done.stdout))


def program(transform: str) -> str:
    """The literal block after `source:` of a transform."""
    lines = iter(CONFIGURATION.read_text().splitlines())
    assert f"  {transform}:" in lines
    assert "    source: |" in lines
    block = []
    for line in lines:
        if line.strip() and not line.startswith("      "):
            break
        block.append(line)
    return dedent("\n".join(block)).strip()


@cache
def package() -> Path:
    """Installed by the pip of this environment, whose own Python is too old to load it."""
    folder = RUN / f"vrl-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        words = ["--quiet", "--no-deps", "--require-hashes", "--ignore-requires-python"]
        words += ["--python-version", "3.12", "--target", f"{folder}.new", "--upgrade"]
        subprocess.run([*pip_install(), *words, "-r", str(LOCK)], check=True, timeout=LIMIT)  # noqa: S603  # our own words
        Path(f"{folder}.new").rename(folder)
    return folder


@cache
def an_interpreter() -> list[str]:
    """Any Python from 3.12 that starts; a shim of that name may not."""
    for candidate in _candidates():
        try:
            found = subprocess.run([*candidate, "-c", OLD], capture_output=True, check=False)  # noqa: S603  # names of Pythons
        except OSError:
            continue
        if found.returncode == 0:
            return candidate
    return [_fetched()]


def in_the_image() -> list[str]:
    """The runner in a container: there the machine's Pythons don't matter."""
    mounts = ["-v", f"{package()}:/package:ro", "-v", f"{RUNNER}:/runner.py:ro"]
    container = ["run", "--rm", "--interactive", "--network", "none", "--pull", "never", *mounts]
    return ["docker", *container, "--env", "PYTHONPATH=/package", IMAGE, "python", "/runner.py"]


def _fetched() -> str:
    """A Python of this checkout's own, where that can be had."""
    folder = RUN / "python"
    words = ["python", "install", "--no-bin", "--no-progress", "--install-dir", str(folder), "3.13"]
    done = subprocess.run(  # noqa: S603  # our own words
        [str(PYTHON.parent / "uv"), *words], capture_output=True, text=True, check=False
    )
    for found in folder.glob("*/bin/python3"):
        return str(found)
    raise LookupError(f"no Python from 3.12 starts here, and uv brings none: {done.stderr}")


def _candidates() -> Iterator[list[str]]:
    yield [sys.executable]
    for minor in (13, 14, 12, 15):
        yield [f"python3.{minor}"]
    yield ["python3"]
    for pattern in (".pyenv/versions/3.*/bin/python3", ".local/share/uv/python/*/bin/python3"):
        yield from ([str(found)] for found in sorted(Path.home().glob(pattern)))
