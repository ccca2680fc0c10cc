"""api: PostgreSQL → HTTP, every stored price and what it says in sum."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from api.app import create_app
from api.metrics import RequestMetrics
from api.neighbours import Neighbours
from api.replica import open_databases
from api.requests import EachRequest
from api.settings import ApiSettings
from api.status import connect_all
from pipeline.lifecycle import run
from pipeline.progress import emit_progress, report_progress

DRAIN_LIMIT = 6  # seconds that a stop waits for answers under way


class Server(uvicorn.Server):
    """Stops when it is told to; signals are pipeline.lifecycle's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def main(settings: ApiSettings, stop: asyncio.Event) -> None:
    async with open_databases(settings) as databases, connect_all(settings) as streams:
        app = RequestMetrics(create_app(Neighbours(databases, streams, settings)))
        config = uvicorn.Config(
            EachRequest(app),
            host=settings.api_host,
            port=settings.api_port,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,  # nginx logs requests
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,  # above nginx's 60 s: the side that opens the connection ends it
            timeout_graceful_shutdown=DRAIN_LIMIT,
        )
        server = Server(config)
        with _listener(settings.api_host, settings.api_port) as listener:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(server.serve([listener]))
                tasks.create_task(report_progress(app.read, stop))
                tasks.create_task(databases.keep_watch(stop))
                await stop.wait()
                server.should_exit = True
        emit_progress(app.read())


def _listener(host: str, port: int) -> socket.socket:
    """Ours, since uvicorn would end the process with its own exit code if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


if __name__ == "__main__":
    run("api", ApiSettings, main)
