"""A bare RESP2 connection to Redis: hiredis parses, one write per call, no layers between."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import unquote

import hiredis
from pydantic import RedisDsn

from pipeline.addresses import Address, database_of
from pipeline.outage import Outage

CONNECT_TIMEOUT = 3.0
REPLY_TIMEOUT = 5.0
# What was here before isn't any more; the last three: a master that was cut off from the others.
GONE = ("NOSCRIPT", "MOVED ", "ASK ", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS")

Arguments = tuple[str | bytes | int, ...]
P = TypeVar("P", bound="Connection")


class Connection(asyncio.Protocol):
    """What both kinds of connection share: write commands, parse replies, know when it is over."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._transport: asyncio.WriteTransport | None = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP transport can write

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.lost.set()

    def send(self, *arguments: str | bytes | int) -> None:
        """Write one command; a connection that is over swallows it, `lost` tells."""
        if self._transport and not self.lost.is_set():
            self._transport.write(hiredis.pack_command(arguments))  # type: ignore[arg-type]  # its stub says one item

    def abort(self) -> None:
        """Drop the connection now: a half-dead one must not answer later."""
        if self._transport:
            self._transport.abort()
        self.lost.set()


class CommandConnection(Connection):
    """Calls and their replies, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[asyncio.Future[Any]] = deque()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while self._waiting and (reply := self._reader.gets()) is not False:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(ConnectionError("connection lost"))

    async def call(self, *arguments: str | bytes | int) -> Any:
        """The reply to one command; raises Outage for a broken connection and for an error reply.

        No error reply is a bug here: a bridge that exits loses what it holds, one that waits
        does not.
        """
        if self.lost.is_set():
            raise Outage("redis", "connection lost")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self.send(*arguments)
        try:
            async with asyncio.timeout(REPLY_TIMEOUT):
                reply = await future
        except (OSError, TimeoutError) as error:
            self.abort()
            raise Outage("redis", str(error) or "no reply in time") from error
        if isinstance(reply, hiredis.ReplyError):
            if str(reply).startswith(GONE):
                self.abort()  # the next connection loads it again, and finds the master
            raise Outage("redis", str(reply))
        return reply


async def open_connection(url: RedisDsn, make: Callable[[], P], at: Address | None = None) -> P:
    """Connect as the URL says, or `at` elsewhere; the caller sends `greeting(url)` first.

    Raises Outage.
    """
    host, port = at or ((url.host or "localhost").strip("[]"), url.port or 6379)
    tls = ssl.create_default_context() if url.scheme == "rediss" else None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(make, host, port, ssl=tls)
    except (OSError, TimeoutError) as error:
        raise Outage("redis", str(error) or "no connection in time") from error
    return connection


def greeting(url: RedisDsn) -> list[Arguments]:
    """The commands that a connection begins with: who we are, which database."""
    commands: list[Arguments] = []
    if url.password:
        user = (unquote(url.username),) if url.username else ()
        commands.append(("AUTH", *user, unquote(url.password)))
    if database := database_of(url):
        commands.append(("SELECT", database))
    return commands
