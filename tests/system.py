"""System: the whole of it as `python3 -m local` runs it, and its processes one by one."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from local.instance import LOOPBACK, Instance
from tests.processes import alive, command_line, descendants
from tests.servers import free_ports
from tests.services import ROOT

PORTS = 7
START_LIMIT = 300.0  # the first start ever builds Centrifugo
STOP_LIMIT = 40.0
POLL_EVERY = 0.1


class System:
    """One instance on its own ports, with its own data, in a session of its own."""

    def __init__(self, log: Path, **variables: str) -> None:
        self._log = log
        port = free_ports(PORTS)
        self._variables = _surroundings() | variables | {"HTTP_PORT": str(port)}
        data = ROOT / ".run" / str(port)
        self.instance = Instance(root=ROOT, http_port=port, data=data, variables=self._variables)
        self.url = f"http://{LOOPBACK}:{port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def redis_url(self) -> str:
        return self.instance.redis_url("operator")

    @property
    def owner_dsn(self) -> str:
        given = self.instance.environment()
        login = f"{given['POSTGRES_USER']}:{quote(given['POSTGRES_PASSWORD'], safe='')}"
        where = f"{LOOPBACK}:{self.instance.postgres_port}/{given['POSTGRES_DB']}"
        return f"postgresql://{login}@{where}"

    def start(self) -> None:
        """Also again, on the same data."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["python3", "-m", "local"],  # noqa: S607  # as `make local` finds it
                cwd=ROOT,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_ready(START_LIMIT)

    def wait_ready(self, limit: float = 60.0) -> None:
        """Return once every process is there and well."""
        deadline = time.monotonic() + limit
        while not self._ready():
            assert self._process, "not started"
            if self._process.poll() is not None:
                raise RuntimeError(f"the system ended\n{self.output()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {limit:g} s\n{self.output()}")
            time.sleep(POLL_EVERY)

    def pid_of(self, name: str) -> int:
        """The process that the supervisor knows by this name: writer, redis, nginx …"""
        pid = int(self._entry(name)["pid"])
        if pid not in self._family():
            raise LookupError(f"{name} ({pid}) isn't ours or doesn't run")
        return pid

    def kill(self, name: str) -> None:
        """SIGKILL to exactly that process; it is gone when this returns."""
        pid = self.pid_of(name)
        os.kill(pid, signal.SIGKILL)
        _wait_gone([pid], STOP_LIMIT)

    def take_away(self, name: str) -> None:
        pid = self.pid_of(name)
        self._control("process", "stop", self._entry(name)["name"]).check_returncode()
        _wait_gone([pid], STOP_LIMIT)

    def bring_back(self, name: str) -> None:
        self._control("process", "start", self._entry(name)["name"]).check_returncode()

    def stop(self) -> None:
        """Ctrl-C; fails if any process is left, and ends those."""
        if not self._process:
            return
        family = self._family()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        survivors = _wait_gone(family, STOP_LIMIT, self._process)
        names = [command_line(pid) for pid in survivors]
        for pid in survivors:
            os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        assert not survivors, f"left running after Ctrl-C: {names}\n{self.output()}"

    def remove(self) -> None:
        shutil.rmtree(self.instance.data, ignore_errors=True)

    def log_of(self, name: str) -> str:
        return (self.instance.logs / f"{name}-0.log").read_text()

    def output(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]

    def _family(self) -> list[int]:
        assert self._process, "not started"
        return [self._process.pid, *descendants(self._process.pid)]

    def _ready(self) -> bool:
        entries = self._list()
        return bool(entries) and all(_is_well(entry) for entry in entries)

    def _entry(self, name: str) -> dict[str, Any]:
        (entry,) = [each for each in self._list() if each["name"].split("-0")[0] == name]
        return entry

    def _list(self) -> list[dict[str, Any]]:
        """Empty while there is no supervisor to ask."""
        asked = self._control("process", "list", "-o", "json")
        return list(orjson.loads(asked.stdout)) if asked.returncode == 0 else []

    def _control(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # noqa: S603  # our own words
            ["python3", "-m", "local", "ctl", *words],  # noqa: S607  # as above
            cwd=ROOT,
            env=self._variables,
            capture_output=True,
            check=False,
        )


def _is_well(entry: dict[str, Any]) -> bool:
    if entry["status"] == "Completed":
        return bool(entry["exit_code"] == 0)
    return entry["status"] == "Running" and entry["is_ready"] == "Ready" and alive(entry["pid"])


def _wait_gone(
    pids: list[int], limit: float, leader: subprocess.Popen[bytes] | None = None
) -> list[int]:
    """Those that are still there when the limit is over."""
    deadline = time.monotonic() + limit
    while left := [pid for pid in pids if alive(pid)]:
        if leader:
            leader.poll()
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_EVERY)
    return left


def _surroundings() -> dict[str, str]:
    """As the developer's shell has it, without what belongs to the test run."""
    ours = ("TEST_", "COV", "PYTEST")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
