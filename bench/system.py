"""System: servers of a bench's own, and our services beside them as production starts them."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import orjson

from bench import cpu
from bench.database import FOLDER, Database
from bench.load import Load
from local.check import is_well
from local.instance import LOOPBACK, ROOT, Instance
from local.privileges import unprivileged
from local.servers import command, prepare

LIMIT = 120.0  # seconds for a start, or an end: a browser reads then what it got
LOOK_EVERY = 0.01
PORTS = 7  # of an instance
SERVICES = ("bridge", "forwarder", "writer", "api")


class System:
    """What was started ends with it, and its data goes."""

    def __init__(self, name: str, *servers: str, **variables: str) -> None:
        given = os.environ | variables
        self.instance = Instance(ROOT, _free_ports(), FOLDER / name, given)
        self.database = Database(self.instance)
        self._servers = servers
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            if "postgres" in self._servers:
                self.database.create()
                self.database.start()
            prepare(self.instance)
            for server in self._servers:
                if server != "postgres":
                    self.start(server)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self._processes)):
            self.kill(name)
        self.database.remove()  # and all of the folder

    def start(self, server: str, *options: str) -> None:
        """redis, centrifugo, nginx …, with what it keeps; it answers when this returns."""
        given = self.instance.environment()
        line = [*unprivileged(), *command(server, self.instance), *options]
        # Centrifugo would read a .env that it finds beside it.
        self._spawn(server, line, given, self.instance.run_files)
        wait_until(lambda: self._well(server), f"{server} answers")

    def serve(self, module: str, *arguments: object, **settings: object) -> None:
        """`python -m MODULE` as production starts it; one of ours has the operator's rights."""
        service = module if module in SERVICES else "operator"
        given = self.instance.service_environment(service) | {"HTTP_URL": self.instance.url}
        given |= {name: str(value) for name, value in settings.items()}
        line = [sys.executable, "-m", module, *map(str, arguments)]
        self._spawn(module, line, given, ROOT)

    def end(self, name: str) -> None:
        """As a supervisor does it; what it said stays to be read."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        code = process.wait(LIMIT)
        if name in SERVICES and code:
            raise RuntimeError(f"{name} ended with {code}:\n{self._log(name).read_text()[-2000:]}")

    def kill(self, name: str) -> None:
        """With no time for a last word, if it is still there."""
        if process := self._processes.pop(name, None):
            process.kill()
            process.wait()

    def said(self, name: str, event: str) -> list[dict[str, Any]]:
        """All lines of that event since its latest start."""
        return [line for line in self._lines(name) if line.get("event") == event]

    def wait_for(self, name: str, event: str) -> None:
        """Return once it has said that."""
        wait_until(lambda: self.said(name, event), f"{name} says {event}")

    def wait_well(self, server: str) -> None:
        wait_until(lambda: self._well(server), f"{server} answers")

    def cpu(self) -> dict[str, float]:
        """Seconds of each process that runs, by name."""
        return cpu.seconds(self._pids())

    def own_mb(self) -> dict[str, float]:
        """What each process that runs has for itself, by name."""
        return cpu.own_mb(self._pids())

    def peak_mb(self, name: str) -> float:
        return cpu.peak_mb(self._processes[name].pid)

    def publish(self, load: Load, redis_url: str = "") -> dict[str, float]:
        """By bench.load in a process of its own, into its Redis or another; what it reports."""
        options = {"rate": load.rate, "seconds": load.seconds, "stocks": load.stocks}
        line = [f"--{name}={value}" for name, value in options.items()]
        line += [] if load.left_out is None else [f"--leave-out={load.left_out}"]
        line += [f"--redis-url={redis_url or self.instance.redis_url('operator')}"]
        done = subprocess.run(  # noqa: S603  # our own module
            [sys.executable, "-m", "bench.load", *line],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        report: dict[str, float] = orjson.loads(done.stdout)
        return report

    def _pids(self) -> dict[str, int]:
        pids = {name: process.pid for name, process in self._processes.items()}
        if "postgres" in self._servers:
            pids["postgres"] = self.database.pid
        return pids

    def _spawn(self, name: str, line: list[str], given: dict[str, str], folder: Path) -> None:
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603  # our own command lines
                line,
                cwd=folder,
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _log(self, name: str) -> Path:
        return self.instance.data / f"{name}.log"

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        for line in self._log(name).read_bytes().splitlines():
            with suppress(orjson.JSONDecodeError):
                yield orjson.loads(line)
        if name in self._processes and self._processes[name].poll() is not None:
            raise RuntimeError(f"{name} ended:\n{self._log(name).read_text()[-2000:]}")

    def _well(self, server: str) -> bool:
        own = self.instance
        questions = {
            "redis": ("redis", str(own.redis_port)),
            "redis-feed": ("redis", str(own.redis_port)),
            "centrifugo": ("http", LOOPBACK, str(own.centrifugo_internal_port), "/health"),
            "api": ("http", LOOPBACK, str(own.api_port), "/api/health/ready"),
            "nginx": ("http", LOOPBACK, str(own.http_port), "/healthz"),
        }
        if self._processes[server].poll() is not None:
            raise RuntimeError(f"{server} ended:\n{self._log(server).read_text()[-2000:]}")
        return is_well(*questions[server])


def wait_until(what: Callable[[], object], text: str, limit: float = LIMIT) -> None:
    deadline = time.monotonic() + limit
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not after {limit:g} s: {text}")
        time.sleep(LOOK_EVERY)


def _free_ports() -> int:
    """The first of those that an instance needs."""
    while True:
        first = random.randrange(30_000, 32_700, PORTS)  # noqa: S311  # below those of clients
        with suppress(OSError):
            for port in range(first, first + PORTS):
                socket.create_server((LOOPBACK, port)).close()
            return first
