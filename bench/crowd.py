"""Crowd: many WebSocket clients of the live feed in one process; until SIGTERM they count."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

import orjson
import uvloop

from bench.browser import CHANNELS, QUIET, say
from bench.load import stock_name

TICK = b'"' + stock_name(0)[:-1].encode()  # begins each tick's name, and nothing else
PING = re.compile(rb"(?<!:)\{\}")  # Centrifugo's, beside other lines or alone; it wants an answer
SUBSCRIBED = b'"id":%d,' % (len(CHANNELS) + 1)
REQUEST = (
    "GET /connection/websocket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
START_LIMIT = 30.0


class Client(asyncio.Protocol):
    """Looks for a few bytes in what comes: to parse it would cost more than to serve it."""

    def __init__(self, host: str, ready: Callable[[], None]) -> None:
        self._host = host
        self._ready = ready
        self._rest = b""  # what may be the beginning of a tick
        self._is_upgraded = self._is_ready = False
        self.ticks = self.bytes = 0
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # TCP can write
        self._transport.write(REQUEST.format(host=self._host).encode())

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)
        found = self._rest + data
        self.ticks += found.count(TICK)
        self._rest = found[1 - len(TICK) :]
        if not self._is_upgraded and b"\r\n\r\n" in found:
            self._is_upgraded = True
            self._send({"id": 1, "connect": {}})
            for number, channel in enumerate(CHANNELS, start=2):
                self._send({"id": number, "subscribe": {"channel": channel}})
        if not self._is_ready and SUBSCRIBED in found:
            self._is_ready = True
            self._ready()
        for _ in PING.findall(data):
            self._send({})

    def connection_lost(self, _: Exception | None) -> None:
        self.is_closed = True

    def _send(self, command: object) -> None:
        """Masked, as it must be, by zeros."""
        text = orjson.dumps(command)
        self._transport.write(b"\x81" + bytes([0x80 | len(text), 0, 0, 0, 0]) + text)


async def main(url: str, count: int) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    address, waiting = urlsplit(url), asyncio.Semaphore(0)
    clients = [Client(address.netloc, waiting.release) for _ in range(count)]
    async with asyncio.timeout(START_LIMIT):
        one_by_one, (host, port) = iter(clients), (address.hostname or "", address.port or 80)
        for _ in clients:
            await loop.create_connection(one_by_one.__next__, host, port)
            await waiting.acquire()
    say(event="ready")
    await stopping.wait()
    seen = -1
    while seen < (seen := sum(client.bytes for client in clients)):  # noqa: ASYNC110  # nobody says when
        await asyncio.sleep(QUIET)
    ticks = [client.ticks for client in clients]
    closed = sum(client.is_closed for client in clients)
    say(event="counted", least=min(ticks), most=max(ticks), closed=closed)


if __name__ == "__main__":
    uvloop.run(main(os.environ["FEED_URL"], int(sys.argv[1])))
