"""Redis, PostgreSQL and Centrifugo as tests see them: addresses, and a way to take them away."""

import os
import random
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlsplit

from local.instance import read_dotenv
from tests.services import ROOT

START_LIMIT = 60.0
POLL_EVERY = 0.05
LOOPBACK = "127.0.0.1"


class Runner(Protocol):
    """How a server runs: a process, or a container."""

    def start(self) -> None:
        """Run it, the first time or again on the same data; return when it answers."""

    def kill(self) -> None:
        """SIGKILL; it is gone when this returns."""

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nobody answers."""

    def resume(self) -> None:
        """SIGCONT."""

    def close(self) -> None:
        """End it in whatever state it is, and remove its data."""


class Foreign:
    """Somebody else's server, named by a TEST_ variable: tests use it, but don't take it away."""

    def start(self) -> None:
        raise NotImplementedError

    kill = pause = resume = start

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Server:
    """A server that a test may take away and bring back."""

    runner: Runner

    def start(self) -> None:
        self.runner.start()

    def kill(self) -> None:
        self.runner.kill()

    def pause(self) -> None:
        self.runner.pause()

    def resume(self) -> None:
        self.runner.resume()


@dataclass(frozen=True)
class RedisServer(Server):
    """A Redis or Valkey."""

    url: str  # the operator's, who may do all

    def url_of(self, user: str) -> str:
        """For one of our services: with the rights and the keys that it has in the product."""
        url = urlsplit(self.url)
        password = quote(read_dotenv(ROOT / ".env")[f"REDIS_{user.upper()}_PASSWORD"], safe="")
        return url._replace(netloc=f"{user}:{password}@{url.hostname}:{url.port or 6379}").geturl()


@dataclass(frozen=True)
class PostgresServer(Server):
    """A PostgreSQL with our schema and roles."""

    owner_dsn: str
    passwords: Mapping[str, str]

    def dsn(self, role: str) -> str:
        """The address for a role: writer, api, vector, grafana, replica."""
        url = urlsplit(self.owner_dsn)
        login = f"{role}:{quote(self.passwords[role], safe='')}"
        return url._replace(netloc=f"{login}@{url.hostname}:{url.port or 5432}").geturl()


@dataclass(frozen=True)
class CentrifugoServer(Server):
    """A Centrifugo with our configuration."""

    api_url: str
    api_key: str
    ws_url: str


class Servers(Protocol):
    """Starts servers, each with its own port and data; the caller closes their runners."""

    def redis(self) -> RedisServer: ...

    def postgres(self) -> PostgresServer: ...

    def centrifugo(self) -> CentrifugoServer: ...


def migrate(server: PostgresServer) -> None:
    """As a start of the system does it, before anything of ours asks the database."""
    passwords = {f"POSTGRES_{role.upper()}_PASSWORD": p for role, p in server.passwords.items()}
    subprocess.run(
        [sys.executable, "-m", "migrate"],
        cwd=ROOT,
        env=os.environ | passwords | {"POSTGRES_DSN": server.owner_dsn},
        stdout=subprocess.PIPE,
        check=True,
    )


def role_passwords(variables: Mapping[str, str]) -> dict[str, str]:
    roles = ("writer", "api", "vector", "grafana", "replica")
    return {role: variables[f"POSTGRES_{role.upper()}_PASSWORD"] for role in roles}


def free_ports(count: int) -> int:
    """The first of `count` neighbouring free ports, looked for in TEST_PORTS."""
    low, _, high = os.environ.get("TEST_PORTS", "21000-29000").partition("-")
    candidates = list(range(int(low), int(high) - count + 1, count))
    random.shuffle(candidates)
    for first in candidates:
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise RuntimeError(f"no {count} neighbouring free ports between {low} and {high}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def wait_ready(answers: Callable[[], bool], name: str) -> None:
    """Return once the server answers; sync, because session fixtures have no event loop."""
    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            if answers():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} doesn't answer after {START_LIMIT:g} s")
        time.sleep(POLL_EVERY)


def redis_answers(port: int) -> bool:
    """LOADING is no answer yet."""
    return _ask(port, b"PING\r\n").startswith(b"+PONG")


def postgres_answers(port: int, user: str, database: str) -> bool:
    """It asks for a password (R): before that, while it recovers, it says E."""
    parameters = b"".join(
        word.encode() + b"\0" for word in ("user", user, "database", database, "")
    )
    return _ask(port, struct.pack("!II", 8 + len(parameters), 196608) + parameters)[:1] == b"R"


def centrifugo_answers(internal_port: int) -> bool:
    return http_answers(f"http://{LOOPBACK}:{internal_port}/health")


def http_answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:  # noqa: S310  # our own address
            return bool(reply.status == 200)
    except urllib.error.URLError as error:
        raise OSError(str(error)) from error


def _ask(port: int, question: bytes) -> bytes:
    with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
        connection.sendall(question)
        return connection.recv(64)
