"""AskedApi: an api of the bench's own, beside a writer that stores all the while."""

import asyncio
import os
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

import aiohttp
import orjson

from api.formats import Format
from api.ranges import rfc3339
from bench.database import Database
from bench.load import stock_name
from local.instance import LOOPBACK

START_LIMIT = 20.0
LOOK_EVERY = 0.05
FORGET_PEAK = "5"  # what the kernel takes for it
LINE_LIMIT = 1 << 20


class AskedApi:
    """Milliseconds as its client sees them, and after its end as it counted them."""

    def __init__(self, process: Process, http: aiohttp.ClientSession) -> None:
        self._process = process
        self._http = http
        self.served: dict[str, tuple[float, float]] = {}
        self.stored = 0.0

    async def ask(
        self,
        what: str,
        start: datetime | None = None,
        end: datetime | None = None,
        form: Format | None = None,
    ) -> float:
        """Of the first stock, read to the end."""
        given = {"start_time": start and rfc3339(start), "end_time": end and rfc3339(end)}
        query = {name: text for name, text in {**given, "format": form}.items() if text}
        began = time.perf_counter()
        async with self._http.get(f"/api/{what}/{stock_name(0)}", params=query) as response:
            response.raise_for_status()
            async for _ in response.content.iter_any():
                pass
        return (time.perf_counter() - began) * 1000

    async def answers(self) -> bool:
        try:
            async with self._http.get("/api/health/ready") as response:
                return response.status == HTTPStatus.OK
        except aiohttp.ClientConnectionError:
            return False

    def forget_peak(self) -> None:
        Path(f"/proc/{self._process.pid}/clear_refs").write_text(FORGET_PEAK)

    def memory(self, field: str) -> int:
        """Kilobytes: VmRSS now, VmHWM at its peak."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition(f"{field}:")[2].split()[0])

    async def listen(self) -> None:
        """The worst p50 and p99 of any report, for each route."""
        assert self._process.stdout  # noqa: S101  # asked for
        async for line in self._process.stdout:
            event = orjson.loads(line)
            found: dict[str, dict[str, float]] = {}
            for each in event.get("request_seconds", ()):
                found.setdefault(each["route"], {})[each["stat"]] = each["value"] * 1000
            for route, of in found.items():
                if "p99" in of:
                    worst = self.served.get(route, (0.0, 0.0))
                    self.served[route] = (max(worst[0], of["p50"]), max(worst[1], of["p99"]))


@asynccontextmanager
async def beside_a_writer(database: Database) -> AsyncIterator[AskedApi]:
    """Its figures are complete when this ends."""
    async with serving(database) as api:
        writer = await _started("bench.storing", {"POSTGRES_DSN": database.dsn("writer")})
        try:
            yield api
            stored, _ = await writer.communicate(b"")  # which closes its input
            api.stored = orjson.loads(stored)
        finally:
            await _ended(writer)


@asynccontextmanager
async def serving(database: Database) -> AsyncIterator[AskedApi]:
    """Nobody else is there; what it counted is complete when this ends."""
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "POSTGRES_DSN": database.dsn("api"),
        "REDIS_URL": f"redis://{LOOPBACK}:1/0",  # nobody: only the status asks it
        "API_PORT": str(port),
    }
    process = await _started("api", variables, limit=LINE_LIMIT)
    try:
        async with aiohttp.ClientSession(f"http://{LOOPBACK}:{port}") as http:
            api = AskedApi(process, http)
            listening = asyncio.ensure_future(api.listen())
            async with asyncio.timeout(START_LIMIT):
                while not await api.answers():  # noqa: ASYNC110  # another process's start
                    await asyncio.sleep(LOOK_EVERY)
            yield api
        process.terminate()
        await listening
    finally:
        await _ended(process)


async def _ended(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def _started(module: str, variables: dict[str, str], limit: int = 1 << 16) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        env=os.environ | variables,
        stdin=PIPE,
        stdout=PIPE,
        limit=limit,
    )
