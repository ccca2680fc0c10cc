"""Subscription: the price channels into the backlog; reconnects, and says what it missed."""

import asyncio
import time
from contextlib import suppress
from functools import partial
from secrets import token_hex
from time import monotonic
from typing import Any

import hiredis

from bridge.backlog import Hole, Piece
from bridge.choice import where_to_listen
from bridge.lineup import LineUp
from bridge.post import Post
from bridge.resp import Connection, greeting, open_connection
from bridge.settings import BridgeSettings
from pipeline.addresses import Address
from pipeline.events import emit
from pipeline.outage import Outage, Stopped, persist

PING_EVERY = 3.0
UNANSWERED_LIMIT = 3  # questions in a row; then the socket is dead, whatever the kernel thinks
CONFIRM_TIMEOUT = 5.0
LEAVE_LIMIT = 1.0
NO_POSITION = ("LOADING", "WRONGTYPE")


def now_us() -> int:
    """The wall clock in µs: the only clock that entry ids are made from."""
    return time.time_ns() // 1000


class ChannelConnection(Connection):
    """A connection in subscriber mode. The hot path: nothing here is done for each message."""

    def __init__(self, line_up: LineUp, post: Post, shard: tuple[int, int] | None) -> None:
        super().__init__()
        self._line_up = line_up
        self._post = post
        self._control = post.control.encode()
        self._shard = shard
        self.heard_us, self.heard_at = now_us(), monotonic()
        self.position = self.confirmed = 0
        self.echo = b""  # of the newest PING that was answered
        self.answer = asyncio.Event()
        self.refused: str | None = None

    def data_received(self, data: bytes) -> None:
        received_us = now_us()
        self.heard_us, self.heard_at = received_us, monotonic()
        reader = self._reader
        reader.feed(data)
        items = []
        while (item := reader.gets()) is not False:
            items.append(item)
        if not items:
            return
        try:
            kinds, channels, messages = zip(*items)  # noqa: B905 - other lengths are another kind
        except (TypeError, ValueError):  # something that isn't a message
            kinds = channels = messages = ()
        if kinds.count(b"message") == len(items) and self._control not in channels:
            self._add(Piece(received_us, channels, messages, len(data)))
        else:
            self._sort(received_us, items, len(data) // len(items))

    def _add(self, piece: Piece) -> None:
        if self._shard:
            piece = piece.of_shard(*self._shard)
        if piece.messages:
            self._line_up.backlog.add(piece)

    def _sort(self, received_us: int, items: list[Any], size: int) -> None:
        """Prices in between other items: what bridges say is heard at its place among them."""
        run: list[list[bytes]] = []  # [b"message", channel, message]
        for item in [*items, None]:
            if type(item) is list and item[0] == b"message" and item[1] != self._control:
                run.append(item)
                continue
            if run:
                _, channels, messages = zip(*run, strict=True)
                self._add(Piece(received_us, channels, messages, size * len(run)))
                run = []
            if type(item) is list and item[0] == b"message":
                self._line_up.hear(self._post.hear(item[2]))
            elif item is not None:
                self._note(item)

    def _note(self, item: object) -> None:
        if isinstance(item, list) and item[0] == b"length":
            self.position = dict(zip(item[::2], item[1::2], strict=True))[b"entries-added"]
        elif isinstance(item, hiredis.ReplyError) and str(item).startswith(NO_POSITION):
            self.position = -1  # while Redis loads its log one can subscribe, and not ask
        elif isinstance(item, hiredis.ReplyError) and "no such key" not in str(item):
            self.refused = str(item)
            self.answer.set()
        elif isinstance(item, list) and item[0] in (b"subscribe", b"unsubscribe"):
            self.confirmed = item[2]
            self.answer.set()
        elif isinstance(item, list) and item[0] == b"pong":
            self.echo = item[1]
            self.answer.set()


class Subscription:
    """Keeps one ChannelConnection alive and reports each time there was none."""

    def __init__(self, settings: BridgeSettings, line_up: LineUp, post: Post | None = None) -> None:
        self._settings = settings
        self._line_up = line_up
        self._post = post or Post(settings)
        self._connection: ChannelConnection | None = None
        self._failed = 0  # attempts: the next one proposes another node
        self.since_us = 0
        self.without_us = 0  # before `since_us` there was none since then
        self.position = 0  # of the stream then: what was appended since, was heard here too
        self.ready = asyncio.Event()

    @property
    def connected(self) -> bool | None:
        """None: soon, and Redis may count us already."""
        return self._post.connected

    @connected.setter
    def connected(self, connected: bool | None) -> None:
        self._post.connected = connected

    @property
    def state(self) -> tuple[bool | None, int]:
        """Another one: connected or lost meanwhile, or both."""
        return self.connected, self.since_us

    def go_elsewhere(self) -> None:
        """To the node where the others listen."""
        self._post.node = ""
        if self._connection:
            self._connection.abort()

    async def catch_up(self) -> bool:
        """Read all that its node has for us; False if the connection is over before that."""
        connection, word = self._connection, token_hex(4)
        if not connection:
            return False
        connection.send("PING", word)
        while connection.echo != word.encode() and not connection.lost.is_set():
            connection.answer.clear()
            await _first(connection.answer, connection.lost)
        return not connection.lost.is_set()

    async def run(self, stop: asyncio.Event) -> None:
        """Feed the backlog until `stop`, then close it."""
        hole, heard_at = Hole(), monotonic()
        try:
            while not stop.is_set():
                connection = self._connection = await persist(self._subscribe, stop)
                self.since_us = hole.to_us = now_us()
                # The wall clock may have stepped meanwhile: that makes no hole longer or shorter.
                self.without_us = hole.to_us - int((monotonic() - heard_at) * 1e6)
                hole.from_us = self.without_us
                self.position = connection.position
                self._post.arrive()
                self.ready.set()
                await self._watch(connection, stop)
                self._post.leave()
                await self._leave(connection)
                connection.abort()
                if not stop.is_set():
                    heard_us, heard_at = self._heard_all_until(connection)
                    hole = Hole(heard_us)
                    self._line_up.backlog.insert(hole)
        except Stopped:
            pass
        finally:
            self._line_up.backlog.close()
            self.ready.set()

    async def _subscribe(self) -> ChannelConnection:
        """On the stream's own node, or on the one that the bridges of a cluster agree on."""
        connection = None
        try:
            position, at = await where_to_listen(self._settings, self._post, self._failed)
            connection = await self._connect(at)
            self.connected, connection.position = None, position
            if at is None:
                connection.send("XINFO", "STREAM", self._settings.stream)
            channels = (*self._settings.channels, self._post.control)
            connection.send("SUBSCRIBE", *channels)
            async with asyncio.timeout(CONFIRM_TIMEOUT):
                await self._confirmed(connection, len(channels))
        except (Outage, TimeoutError) as error:
            if connection:
                connection.abort()
            self.connected = self._post.on_its_way = False
            self._failed += 1
            raise Outage("redis", f"no subscription: {str(error) or 'no answer'}") from error
        self._failed = 0
        where = {"node": self._post.node} if self._post.node else {}
        emit("bridge.subscribed", channels=self._settings.channels, **where)
        return connection

    async def _connect(self, at: Address | None) -> ChannelConnection:
        number, url = self._settings.number, self._settings.redis_url
        shard = None if number is None else (number, self._settings.shards)
        make = partial(ChannelConnection, self._line_up, self._post, shard)
        connection = await open_connection(url, make, at)
        for command in greeting(url):
            connection.send(*command)
        return connection

    async def _confirmed(self, connection: ChannelConnection, channels: int) -> None:
        while connection.confirmed < channels:
            connection.answer.clear()
            await _first(connection.answer, connection.lost)
            if connection.lost.is_set() or connection.refused:
                raise Outage("redis", connection.refused or "connection lost")

    async def _leave(self, connection: ChannelConnection) -> None:
        """Read all that was published until Redis says that no more is coming."""
        connection.send("UNSUBSCRIBE")
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_LIMIT):
                while connection.confirmed and not connection.lost.is_set():
                    connection.answer.clear()
                    await _first(connection.answer, connection.lost)

    async def _watch(self, connection: ChannelConnection, stop: asyncio.Event) -> None:
        """Return when the connection is lost, silent for too long, or no longer wanted."""
        ends = (connection.lost, self._post.echo.broken, stop)
        over = asyncio.ensure_future(_first(*ends))
        unanswered = 0
        while not over.done() and unanswered < UNANSWERED_LIMIT:
            heard_us = connection.heard_us
            connection.send("PING")
            await asyncio.wait({over}, timeout=PING_EVERY)
            # Not in seconds: if it was us who slept, all that came meanwhile is still to be read.
            unanswered = unanswered + 1 if connection.heard_us == heard_us else 0
        if unanswered == UNANSWERED_LIMIT:
            emit("outage", neighbour="redis", reason="subscription is silent")
        over.cancel()

    def _heard_all_until(self, connection: ChannelConnection) -> tuple[int, float]:
        """In µs of the wall clock, and in seconds of the other."""
        echo = self._post.echo
        if not echo.broken.is_set():
            return connection.heard_us, connection.heard_at
        reason = f"{self._post.node} doesn't hear all that is published"
        emit("outage", neighbour="redis", reason=reason)
        self._failed = 1  # so another one is asked next
        return now_us() - int((monotonic() - echo.heard_at) * 1e6), echo.heard_at


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
