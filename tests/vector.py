"""Vector: the real program with this repository's configuration, where there is one."""

import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from tests.servers import LOOPBACK, free_ports, wait_ready
from tests.services import ROOT

CONFIG = ROOT / "config" / "vector"
PROGRAM = os.environ.get("VECTOR_BIN") or shutil.which("vector")
STOP_LIMIT = 15.0


class Vector:
    """Reads the lines of a folder's files; as in compose but for where they come from."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self._port = free_ports(1)
        self._logs = folder / "logs"
        self._output = folder / "vector.out"
        self._logs.mkdir()
        (folder / "data").mkdir()
        url = urlsplit(dsn)
        self._environment = {
            "VECTOR_DANGEROUSLY_ALLOW_ENV_VAR_INTERPOLATION": "true",
            "VECTOR_GRACEFUL_SHUTDOWN_LIMIT_SECS": "8",
            "VECTOR_LOGS": str(self._logs),
            "VECTOR_DATA_DIR": str(folder / "data"),
            "VECTOR_API_PORT": str(self._port),
            "POSTGRES_ADDRESS": f"{url.hostname}:{url.port}",
            "POSTGRES_DB": url.path.strip("/"),
            "PGPASSWORD": url.password or "",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # found on PATH, or named by VECTOR_BIN
                [str(PROGRAM), *configuration("files")],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_ready(self._healthy, "Vector")

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_LIMIT)

    def write(self, service: str, *lines: dict[str, Any] | str | bytes) -> None:
        """As the service's process would."""
        with (self._logs / f"{service}.log").open("ab") as log:
            for line in lines:
                text = orjson.dumps(line) if isinstance(line, dict) else line
                log.write((text.encode() if isinstance(text, str) else text) + b"\n")

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def _healthy(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            raise RuntimeError(f"Vector ended:\n{self.output[-3000:]}")
        try:
            with urllib.request.urlopen(
                f"http://{LOOPBACK}:{self._port}/health", timeout=1
            ) as reply:
                return bool(reply.status == 200)
        except urllib.error.URLError as error:
            raise OSError(str(error)) from error


def configuration(source: str) -> list[str]:
    files = (CONFIG / "vector.yaml", CONFIG / f"{source}.yaml")
    return [word for file in files for word in ("--config-yaml", str(file))]
