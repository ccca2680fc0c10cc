"""Api: the api as a real process, asked over HTTP; ticks as rows of its table."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import aiohttp
import asyncpg
from yarl import URL

from tests.conftest import Database
from tests.servers import LOOPBACK, PostgresServer, free_ports
from tests.services import Service, StartService
from tests.waiting import wait_until

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = 1_700_049_600_000_000  # 2023-11-15T12:00:00Z in µs: when the ticks of tests arrive
COLUMNS = ("timestamp", "stock_name", "exchange_name", "price", "event_id")
NOBODY_LISTENS = f"{LOOPBACK}:1"

# A long history in one statement: more than all socket buffers on the way hold.
LONG = """
INSERT INTO stock_prices
SELECT to_timestamp(1700049600) + n * interval '1 ms', 'LONG', 'NYSE', 1 + n / 100.0,
       (1700049600000 + n) << 20
FROM generate_series(0, 199999) AS n
"""

Tick = tuple[datetime, str, str, Decimal, int]


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Numbers as they were written: 5.10 isn't 5.1 here."""
        return json.loads(self.body, parse_float=Decimal)

    @property
    def problem(self) -> Any:
        """The body of an error, which must look the same everywhere."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        body = self.json
        assert {"type", "title", "status", "detail", "instance"} <= body.keys()
        assert body["status"] == self.status
        return body


class Api:
    """`python -m api` and a client of it."""

    def __init__(self, process: Service, url: str, session: aiohttp.ClientSession) -> None:
        self.process = process
        self.url = url
        self._session = session

    async def get(self, address: str) -> Answer:
        """What is asked for is sent exactly as written here."""
        return await self.request("GET", address)

    async def request(self, method: str, address: str) -> Answer:
        async with self.open(address, method) as response:
            return Answer(response.status, response.headers, await response.read())

    def open(
        self, address: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Any:
        """The response without its body, for `async with`: leaving early leaves the api, too."""
        return self._session.request(method, URL(address, encoded=True), headers=headers)


def start_api(start: StartService, **environment: object) -> tuple[Service, int]:
    """The process and its port. Neighbours aren't there, unless they are given."""
    port = free_ports(1)
    away = {
        "REDIS_URL": f"redis://{NOBODY_LISTENS}/0",
        "POSTGRES_DSN": f"postgresql://api:secret@{NOBODY_LISTENS}/pipeline",
    }
    return start("api", **away | environment | {"API_PORT": port}), port


@asynccontextmanager
async def asking(process: Service, port: int) -> AsyncIterator[Api]:
    """A client of it, once it listens."""
    url = f"http://{LOOPBACK}:{port}"
    async with aiohttp.ClientSession(url) as session:
        api = Api(process, url, session)
        await wait_until(lambda: _alive(api), 30.0, "the api listens")  # FastAPI takes long to load
        yield api


@asynccontextmanager
async def running_api(start: StartService, **environment: object) -> AsyncIterator[Api]:
    """Both in one, for a test that needs its own."""
    async with asking(*start_api(start, **environment)) as api:
        yield api


async def _alive(api: Api) -> bool:
    assert api.process.running, api.process.transcript()
    try:
        return (await api.get("/api/health")).status == HTTPStatus.OK
    except aiohttp.ClientConnectionError:
        return False


def tick(
    after_us: int, price: str, stock: str = "TSLA", exchange: str = "NYSE", nth: int = 0
) -> Tick:
    """Received so many µs after noon, as the nth message of that µs."""
    us = NOON + after_us
    event_id = us // 1000 << 20 | us % 1000 << 10 | nth
    return EPOCH + timedelta(microseconds=us), stock, exchange, Decimal(price), event_id


async def store(connection: "asyncpg.Connection[Any]", ticks: Iterable[Tick]) -> None:
    await connection.copy_records_to_table("stock_prices", records=ticks, columns=COLUMNS)


async def owner_runs(server: PostgresServer, sql: str) -> Any:
    """The first value, if there is one."""
    connection = await asyncpg.connect(server.owner_dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@asynccontextmanager
async def locked(postgres: Database) -> AsyncIterator[None]:
    """Queries wait meanwhile, as they would for a slow one."""
    # its own connection: in a transaction pg_stat_activity keeps saying what it said first
    locker = await asyncpg.connect(postgres.owner_dsn)
    try:
        async with locker.transaction():
            await locker.execute("LOCK TABLE stock_prices, candles IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await locker.close()


async def busy_connections(postgres: Database, at_least: int = 1) -> bool:
    count = await postgres.connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'api' AND state <> 'idle'"
    )
    return bool(count >= at_least)


async def is_idle(postgres: Database) -> bool:
    return not await busy_connections(postgres)
