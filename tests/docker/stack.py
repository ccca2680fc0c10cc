"""Stack: the whole system as `docker compose up` runs it, and its containers one by one."""

import json
import os
import signal
import time
import zlib
from functools import cached_property
from typing import Any
from urllib.parse import quote

from local.instance import LOOPBACK, read_dotenv
from tests.docker.cli import Container, DockerFailed, docker, docker_all, inspect
from tests.processes import alive
from tests.servers import free_ports
from tests.services import ROOT

STAND_IN = "pipeline.stand-in"  # the label of images that only carry an official one's name
LINES = "60"  # of each container
KILL_LIMIT = 20.0
POLL_EVERY = 0.1


class Stack:
    """This checkout's docker-compose.yaml as a project of its own, on a port of its own."""

    def __init__(self) -> None:
        # The same at the next run, which so finds what a run that was cut off has left.
        self.project = f"tick-pipeline-test-{zlib.crc32(str(ROOT).encode()):08x}"
        self.port = free_ports(1)
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._variables = _surroundings() | {"HTTP_PORT": str(self.port)} | _socket()
        self.settings = read_dotenv(ROOT / ".env") | self._variables

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """docker-compose.yaml as Compose reads it."""
        return dict(json.loads(self.compose("config", "--format", "json")))

    @cached_property
    def left_out(self) -> list[str]:
        """Services whose image there is no stand-in for, where stand-ins are used."""
        if not self._stand_ins():
            return []
        there = set(docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split())
        services = self.configuration["services"].items()
        return [name for name, it in services if "build" not in it and it["image"] not in there]

    @property
    def services(self) -> list[str]:
        """Those that keep running."""
        services = self.configuration["services"].items()
        running = [name for name, it in services if it["restart"] != "no"]
        return [name for name in running if name not in self.left_out]

    @property
    def built(self) -> list[str]:
        """Services whose image is made from this checkout."""
        services = self.configuration["services"]
        return [name for name in self.services if "build" in services[name]]

    @property
    def redis_url(self) -> str:
        return self.redis_url_of("operator")

    @property
    def owner_dsn(self) -> str:
        return self.postgres_dsn_of(self.settings["POSTGRES_USER"], "POSTGRES_PASSWORD")

    def redis_url_of(self, user: str) -> str:
        password = quote(self.settings[f"REDIS_{user.upper()}_PASSWORD"], safe="")
        return f"redis://{user}:{password}@{self.address('redis')}:6379/0"

    def postgres_dsn_of(self, role: str, password: str | None = None) -> str:
        secret = self.settings[password or f"POSTGRES_{role.upper()}_PASSWORD"]
        where = f"{self.address('postgres')}:5432/{self.settings['POSTGRES_DB']}"
        return f"postgresql://{role}:{quote(secret, safe='')}@{where}"

    def address(self, service: str, network: str = "data") -> str:
        """Where this machine reaches it now; the engine's bridges are this machine's own."""
        try:
            found = [each.addresses.get(network) for each in self.containers(service)]
        except DockerFailed:  # it was removed between two looks
            found = []
        for address in found:
            if address:
                return address
        raise ConnectionRefusedError(f"{service} has no address at the moment")

    def start(self) -> None:
        """From nothing: what an earlier run left is removed."""
        self.remove()
        self.up()

    def up(self, *words: str) -> str:
        """Return when all is well; what `docker compose up` has printed."""
        pull = ["--pull", "never"] if self._stand_ins() else []
        command = ["up", "--detach", "--build", "--wait", *pull, *words]
        return self.compose(*command, *self.services)

    def compose(self, *words: str) -> str:
        return docker("compose", "--project-name", self.project, *words, variables=self._variables)

    def containers(self, service: str | None = None) -> list[Container]:
        """A service's, or of all that keep running; whether they run or not."""
        wanted = ["--filter", f"label=com.docker.compose.project={self.project}"]
        if service:
            wanted += ["--filter", f"label=com.docker.compose.service={service}"]
        ids = docker("ps", "--all", "--quiet", "--no-trunc", *wanted).split()
        found = [Container(each) for each in inspect("container", ids)]
        return [c for c in found if service or c.host["RestartPolicy"]["Name"] != "no"]

    def one(self, service: str) -> Container:
        """The service's first container."""
        found = self.containers(service)
        return min(found, key=lambda each: int(each.inspected["Name"].rpartition("-")[2]))

    def kill(self, name: str) -> None:
        """SIGKILL to its process: `docker kill` would count as a wish that it stays down."""
        pid = self.one(name).pid
        if not pid:
            raise LookupError(f"{name} doesn't run")
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + KILL_LIMIT
        while alive(pid):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} ({pid}) survived")
            time.sleep(POLL_EVERY)

    def take_away(self, name: str) -> None:
        self.compose("stop", name)

    def bring_back(self, name: str) -> None:
        self.compose("start", name)

    def wait_ready(self, limit: float = 60.0) -> None:
        deadline = time.monotonic() + limit
        while unwell := self.unwell():
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {limit:g} s {unwell}\n{self.output()}")
            time.sleep(POLL_EVERY)

    def unwell(self) -> dict[str, str]:
        """Health by service, of all that isn't healthy."""
        found = dict.fromkeys(self.services, "missing")
        found |= {each.service: "healthy" for each in self.containers()}
        found |= {e.service: e.health for e in self.containers() if e.health != "healthy"}
        return {service: health for service, health in found.items() if health != "healthy"}

    def log_of(self, name: str) -> str:
        return self.screen("logs", "--no-log-prefix", "--no-color", name)

    def output(self) -> str:
        return self.screen("logs", "--no-color", "--tail", LINES)

    def screen(self, *words: str) -> str:
        """All that a command of Compose shows, complaints too."""
        command = ("compose", "--project-name", self.project, *words)
        return docker_all(*command, variables=self._variables)

    def remove(self, *words: str) -> None:
        """Containers, networks and data of this project and of no other."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "1", *words)

    def _stand_ins(self) -> bool:
        return bool(docker("image", "ls", "--quiet", "--filter", f"label={STAND_IN}"))


def _socket() -> dict[str, str]:
    """Of the engine that runs this, for Vector."""
    scheme, _, path = os.environ.get("DOCKER_HOST", "").partition("://")
    return {"DOCKER_SOCKET": path} if scheme == "unix" else {}


def _surroundings() -> dict[str, str]:
    """As the developer's shell has it, without what belongs to the test run or to Compose."""
    ours = ("TEST_", "COV", "PYTEST", "COMPOSE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
