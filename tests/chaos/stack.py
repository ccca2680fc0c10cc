"""Stack: the whole system as plain processes, each restarted whenever it has ended."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Self

import orjson

from local.instance import LOOPBACK, Instance
from local.servers import command, initialise_postgres, prepare, unprivileged
from tests.chaos import disk
from tests.chaos.member import Member
from tests.chaos.network import LINKS, Network
from tests.clocks import Clock, clear
from tests.processes import descendants
from tests.servers import (
    centrifugo_answers,
    free_ports,
    http_answers,
    postgres_answers,
    redis_answers,
    wait_ready,
)
from tests.services import ROOT

PORTS = 7  # of the instance; the proxy's come after them
LOOK_EVERY = 0.05
STOP_LIMIT = 12.0
SERVERS = ("redis", "postgres", "centrifugo")
SERVICES = ("bridge", "forwarder", "writer", "api")
FLUSH_INTERVAL = "0.5"  # not 5 s: ten times as many flushes to be hit in the same time


class Stack:
    """Starts all, keeps all running, ends all; `members` are called as the services are."""

    def __init__(
        self,
        bridges: int = 1,
        *,
        small_disk: bool = False,
        own_clocks: bool = False,
        **settings: str,
    ) -> None:
        # not below the user's own folder: as root, servers run as nobody
        data = Path(tempfile.mkdtemp(prefix="pipeline-chaos-"))
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "PG_BIN") if name in os.environ}
        given = kept | {"FLUSH_INTERVAL": FLUSH_INTERVAL} | settings
        first = free_ports(PORTS + 1 + len(LINKS) + bridges - 1)
        self.instance = Instance(ROOT, first, data, given)
        self.bridges = [_name("bridge", replica) for replica in range(bridges)]
        self.network = Network.of(self.instance, self.bridges, first + PORTS)
        self.members: dict[str, Member] = {}
        self.held: set[str] = set()  # not started again for now
        self._replicas: Counter[str] = Counter()
        self.postgres_data = data / "postgres"
        self._small_disk = small_disk
        self._own_clocks = own_clocks
        self.clocks: dict[str, Clock] = {}  # of the services, if they have their own
        self._ending = False
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        starting = asyncio.create_task(asyncio.to_thread(self._start))
        try:
            await asyncio.shield(starting)
        except BaseException as error:
            self._ending = True  # a thread can't be cancelled
            await asyncio.gather(starting, return_exceptions=True)
            await asyncio.to_thread(self._end)
            if isinstance(error, asyncio.CancelledError):  # of a failure, the logs say why
                self._remove_data()
            raise
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeping:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        await asyncio.to_thread(self._end)
        self._remove_data()

    def answers(self, name: str) -> bool:
        """Whether a server is there again; of a service, whether it runs."""
        member = self.members[name]
        if not member.running:
            return False
        with suppress(OSError):
            return self._questions().get(name, lambda: True)()
        return False

    def add(self, service: str) -> str:
        """One more replica of a service, with a consumer's name that no other ever had."""
        replica = self._replicas[service]
        self._replicas[service] += 1
        name = _name(service, replica)
        environment = self.instance.service_environment(service, str(replica))
        way = self.network.through(name if name in self.bridges else service, environment)
        if self._own_clocks:
            self.clocks[name] = Clock(self.instance.data / f"{name}.clock")
            way |= self.clocks[name].environment
        self._begin(name, [sys.executable, "-m", service], way)
        return name

    async def remove(self, name: str, number: signal.Signals, limit: float) -> None:
        """End a replica for good; what it said stays."""
        self.held.add(name)
        self.members[name].send(number)
        await asyncio.to_thread(self.members[name].wait, limit)

    def events(self) -> list[dict[str, object]]:
        """What all services said so far."""
        names = [name for name in self.members if name.partition("-")[0] in SERVICES]
        return [event for name in names for event in self.events_of(name)]

    def events_of(self, name: str) -> Iterator[dict[str, object]]:
        for line in self.members[name].log.read_bytes().splitlines():
            with suppress(orjson.JSONDecodeError):
                yield orjson.loads(line)

    def _questions(self) -> dict[str, Callable[[], bool]]:
        given, own = self.instance.environment(), self.instance
        user, database = given["POSTGRES_USER"], given["POSTGRES_DB"]
        return {
            "redis": lambda: redis_answers(own.redis_port),
            "postgres": lambda: postgres_answers(own.postgres_port, user, database),
            "centrifugo": lambda: centrifugo_answers(own.centrifugo_internal_port),
            "api": lambda: http_answers(f"http://{LOOPBACK}:{own.api_port}/api/health"),
            "nginx": lambda: http_answers(f"{own.url}/healthz"),
            "toxiproxy": self.network.answers,
        }

    def _start(self) -> None:
        prepare(self.instance)
        initialise_postgres(self.instance)
        options = ["-c", "fsync=off"]  # tests kill processes, not machines
        if self._small_disk:
            disk.make_small(self.postgres_data)
            options += disk.WAL
        for name in SERVERS:
            line = [*unprivileged(), *command(name, self.instance)]
            line += options if name == "postgres" else []
            self._begin(name, line, self.instance.environment())
        line = [*unprivileged(), *self.network.command(self.instance.data / "network.json")]
        self._begin("toxiproxy", line, self.instance.environment() | {"LOG_LEVEL": "error"})
        for name in (*SERVERS, "toxiproxy"):
            wait_ready(self._questions()[name], name)
        self._migrate()
        for service in ("bridge",) * (len(self.bridges) - 1) + SERVICES:
            self.add(service)
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
        if self._ending:
            raise RuntimeError("not started: the end has come first")
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
        if self._own_clocks:
            clear()
        disk.remove_small(self.postgres_data)

    def _remove_data(self) -> None:
        shutil.rmtree(self.instance.data, ignore_errors=True)


def _name(service: str, replica: int) -> str:
    return f"{service}-{replica}" if replica else service
