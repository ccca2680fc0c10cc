"""Fixtures: real servers, a database emptied for each test, and our services as real processes."""

import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import pytest
import redis.asyncio

from local.instance import read_dotenv
from tests.containers import Containers, why_not
from tests.docker.stack import Stack
from tests.embedded import Embedded
from tests.servers import (
    CentrifugoServer,
    Foreign,
    PostgresServer,
    RedisServer,
    Server,
    Servers,
    role_passwords,
)
from tests.services import ROOT, Service, StartService
from tests.subscriber import Subscriber, subscribed

# Given servers have our schema and configuration, and nobody else uses them: tables are emptied.
GIVEN_REDIS = "TEST_REDIS_URL"
GIVEN_POSTGRES = "TEST_POSTGRES_DSN"
GIVEN_CENTRIFUGO = "TEST_CENTRIFUGO_API_URL"

AnyServer = TypeVar("AnyServer", bound=Server)


def pytest_addoption(parser: pytest.Parser) -> None:
    targets = ["local", "docker"]
    text = "what the end-to-end tests run against: local processes, or docker compose"
    parser.addoption("--target", choices=targets, default=targets[0], help=text)


@pytest.fixture(scope="module", autouse=True)
def _left_open() -> Iterator[None]:
    """What a module leaves open fails it, not whichever test the collector comes by in.

    What fixtures gave to its last test is held until later.
    """
    yield
    gc.collect()


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The system as containers, started once; only tests that ask for it need an engine."""
    stack = Stack()
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    if terminal and stack.left_out:
        terminal.write_line(f"left out, for want of an image: {', '.join(stack.left_out)}")
    try:
        stack.start()
        yield stack
    finally:
        stack.remove("--rmi", "local")


@dataclass(frozen=True)
class Database:
    """The shared PostgreSQL, its table empty, and the owner's connection to look into it."""

    server: PostgresServer
    connection: "asyncpg.Connection[asyncpg.Record]"  # generic for the type checker only

    @property
    def owner_dsn(self) -> str:
        return self.server.owner_dsn

    def dsn(self, role: str) -> str:
        return self.server.dsn(role)


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Servers:
    """Where started servers come from: containers if a Docker engine answers, else packages."""
    reason = why_not()
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    if terminal:
        terminal.write_line(f"servers: {f'embedded, not Docker: {reason}' if reason else 'Docker'}")
    return Embedded() if reason else Containers()


@pytest.fixture(scope="session")
def shared_redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    if url := os.environ.get(GIVEN_REDIS):
        yield RedisServer(Foreign(), url)
        return
    with _closed_after(request.getfixturevalue("servers").redis) as server:
        yield server


@pytest.fixture(scope="session")
def shared_postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    if dsn := os.environ.get(GIVEN_POSTGRES):
        yield PostgresServer(Foreign(), dsn, role_passwords(_variables()))
        return
    with _closed_after(request.getfixturevalue("servers").postgres) as server:
        yield server


@pytest.fixture(scope="session")
def centrifugo(request: pytest.FixtureRequest) -> Iterator[CentrifugoServer]:
    """The shared Centrifugo: `.api_url`, `.api_key`, `.ws_url`."""
    if api_url := os.environ.get(GIVEN_CENTRIFUGO):
        key, ws_url = (
            os.environ.get(f"TEST_CENTRIFUGO_{name}", "") for name in ("API_KEY", "WS_URL")
        )
        yield CentrifugoServer(Foreign(), api_url, key, ws_url)
        return
    with _closed_after(request.getfixturevalue("servers").centrifugo) as server:
        yield server


@pytest.fixture
def own_redis(servers: Servers) -> Iterator[RedisServer]:
    """A Redis that this test alone uses, and may take away."""
    with _closed_after(servers.redis) as server:
        yield server


@pytest.fixture
def own_postgres(servers: Servers) -> Iterator[PostgresServer]:
    """A PostgreSQL that this test alone uses, and may take away."""
    with _closed_after(servers.postgres) as server:
        yield server


@pytest.fixture
def own_centrifugo(servers: Servers) -> Iterator[CentrifugoServer]:
    """A Centrifugo that this test alone uses, and may take away."""
    with _closed_after(servers.centrifugo) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(shared_redis: RedisServer) -> str:
    return shared_redis.url


@pytest.fixture(name="redis")
async def redis_client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client for the test to look with; replies are bytes."""
    async with redis.asyncio.Redis.from_url(redis_url, protocol=2) as client:
        yield client


@pytest.fixture
async def subscriber(own_redis: RedisServer) -> AsyncIterator[Subscriber]:
    """Listens on both price channels of the test's own Redis."""
    async with subscribed(own_redis.url, "NYSE", "NASDAQ") as subscriber:
        yield subscriber


@pytest.fixture
def stream() -> str:
    """A stream that no other test knows."""
    return f"ticks-{uuid4().hex[:12]}"


@pytest.fixture
async def postgres(shared_postgres: PostgresServer) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(shared_postgres.owner_dsn)
    try:
        await connection.execute("TRUNCATE stock_prices, candles")
        yield Database(shared_postgres, connection)
    finally:
        await connection.close()


@pytest.fixture
def service() -> Iterator[StartService]:
    """service("writer", REDIS_URL=…) starts `python -m writer`; it is gone after the test."""
    started: list[Service] = []

    def start(name: str, *arguments: str, **environment: Any) -> Service:
        started.append(Service(name, *arguments, **environment))
        return started[-1]

    yield start
    for each in started:
        each.close()


@contextmanager
def _closed_after(start: Callable[[], AnyServer]) -> Iterator[AnyServer]:
    server = start()
    try:
        yield server
    finally:
        server.runner.close()


def _variables() -> dict[str, str]:
    return read_dotenv(ROOT / ".env") | os.environ
