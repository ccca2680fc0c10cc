"""Stack: the whole system as plain processes, each restarted whenever it has ended."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Self

import orjson

from local.instance import LOOPBACK, Instance
from local.servers import command, initialise_postgres, prepare, unprivileged
from tests.processes import descendants, signal_tree
from tests.servers import (
    centrifugo_answers,
    free_ports,
    http_answers,
    postgres_answers,
    redis_answers,
    wait_ready,
)
from tests.services import ROOT

PORTS = 7
LOOK_EVERY = 0.05
STOP_LIMIT = 12.0
SERVERS = ("redis", "postgres", "centrifugo")
SERVICES = ("bridge", "forwarder", "writer", "api")
FLUSH_INTERVAL = "0.5"  # not 5 s: ten times as many flushes to be hit in the same time


class Member:
    """One process of the stack, under the same name however often it is started."""

    def __init__(self, line: list[str], environment: dict[str, str], log: Path) -> None:
        self._line = line
        self._environment = environment
        self.log = log
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own command line
                self._line,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us
            )

    @property
    def pid(self) -> int:
        assert self._process, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self, limit: float) -> None:
        assert self._process
        self._process.wait(limit)

    def send(self, number: signal.Signals) -> None:
        """To exactly this process; one that has just ended by itself needs none."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def send_all(self, number: signal.Signals) -> None:
        """PostgreSQL and nginx are many processes: to stop answering, all have to stop."""
        if self.running:
            signal_tree(self.pid, number)


class Stack:
    """Starts all, keeps all running, ends all; `members` are called as the services are."""

    def __init__(self, **settings: str) -> None:
        # not below the user's own folder: as root, servers run as nobody
        data = Path(tempfile.mkdtemp(prefix="pipeline-chaos-"))
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "PG_BIN") if name in os.environ}
        given = kept | {"FLUSH_INTERVAL": FLUSH_INTERVAL} | settings
        self.instance = Instance(ROOT, free_ports(PORTS), data, given)
        self.members: dict[str, Member] = {}
        self.held: set[str] = set()  # not started again for now
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self._start)
        except BaseException:
            await asyncio.to_thread(self._end)
            raise
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeping:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        await asyncio.to_thread(self._end)
        shutil.rmtree(self.instance.data, ignore_errors=True)

    def answers(self, name: str) -> bool:
        """Whether a server is there again; of a service, whether it runs."""
        member = self.members[name]
        if not member.running:
            return False
        with suppress(OSError):
            return self._questions().get(name, lambda: True)()
        return False

    def add(self, service: str, replica: int) -> str:
        """One more replica of a service, with a consumer's name of its own."""
        name = service if replica == 0 else f"{service}-{replica}"
        line = [sys.executable, "-m", service]
        environment = self.instance.service_environment(service, str(replica))
        self._begin(name, line, environment)
        return name

    def events(self) -> list[dict[str, object]]:
        """What all services said so far."""
        found = []
        for name, member in self.members.items():
            if name.partition("-")[0] in SERVICES:
                for line in member.log.read_bytes().splitlines():
                    with suppress(orjson.JSONDecodeError):
                        found.append(orjson.loads(line))
        return found

    def _questions(self) -> dict[str, Callable[[], bool]]:
        given, own = self.instance.environment(), self.instance
        user, database = given["POSTGRES_USER"], given["POSTGRES_DB"]
        return {
            "redis": lambda: redis_answers(own.redis_port),
            "postgres": lambda: postgres_answers(own.postgres_port, user, database),
            "centrifugo": lambda: centrifugo_answers(own.centrifugo_internal_port),
            "api": lambda: http_answers(f"http://{LOOPBACK}:{own.api_port}/api/health"),
            "nginx": lambda: http_answers(f"{own.url}/healthz"),
        }

    def _start(self) -> None:
        prepare(self.instance)
        initialise_postgres(self.instance)
        for name in SERVERS:
            # tests kill processes, not machines
            options = ["-c", "fsync=off"] if name == "postgres" else []
            line = [*unprivileged(), *command(name, self.instance), *options]
            self._begin(name, line, self.instance.environment())
        for name in SERVERS:
            wait_ready(self._questions()[name], name)
        self._migrate()
        for service in SERVICES:
            self.add(service, 0)
        line = [*unprivileged(), *command("nginx", self.instance)]
        self._begin("nginx", line, self.instance.environment())
        wait_ready(lambda: all(self.answers(name) for name in self.members), "the system")

    def _migrate(self) -> None:
        subprocess.run(
            [sys.executable, "-m", "migrate"],
            cwd=ROOT,
            env=self.instance.environment() | {"POSTGRES_DSN": self.instance.owner_dsn},
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def _begin(self, name: str, line: list[str], environment: dict[str, str]) -> None:
        self.members[name] = Member(line, environment, self.instance.data / f"{name}.out")
        self.members[name].start()

    async def _keep(self) -> None:
        while True:
            for name, member in list(self.members.items()):
                if name not in self.held and not member.running:
                    member.start()
            await asyncio.sleep(LOOK_EVERY)

    def _end(self) -> None:
        """Services first, so that they say how they ended; what doesn't end is killed."""
        families = [(m, [m.pid, *descendants(m.pid)]) for m in self.members.values() if m.running]
        for name, member in reversed(self.members.items()):
            member.send_all(signal.SIGCONT)
            member.send(signal.SIGQUIT if name == "postgres" else signal.SIGTERM)
        deadline = monotonic() + STOP_LIMIT
        for member, family in families:
            with suppress(subprocess.TimeoutExpired):
                member.wait(max(0.0, deadline - monotonic()))
            for pid in family if member.running else ():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            member.wait(STOP_LIMIT)
