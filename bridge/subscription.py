"""Subscription: the price channels into the backlog; reconnects, and says what it missed."""

import asyncio
from contextlib import suppress
from functools import partial
from math import inf
from secrets import token_hex
from time import monotonic

from bridge.backlog import Hole
from bridge.channels import ChannelConnection, now_us
from bridge.choice import where_to_listen
from bridge.lineup import LineUp
from bridge.post import Post
from bridge.resp import greeting, open_connection
from bridge.settings import BridgeSettings
from pipeline.addresses import Address
from pipeline.events import emit
from pipeline.outage import Outage, Stopped, persist

PING_EVERY = 3.0
UNANSWERED_LIMIT = 3  # questions in a row; then the socket is dead, whatever the kernel thinks
CONFIRM_TIMEOUT = 5.0
LEAVE_LIMIT = 1.0
GO_EVERY = 30.0


class Subscription:
    """Keeps one ChannelConnection alive and reports each time there was none."""

    def __init__(self, settings: BridgeSettings, line_up: LineUp, post: Post | None = None) -> None:
        self._settings = settings
        self._line_up = line_up
        self._post = post or Post(settings)
        self._connection: ChannelConnection | None = None
        self._went_at = -inf
        self._failed = 0  # attempts: the next one proposes another node
        self.since_us = 0
        self.without_us = 0  # before `since_us` there was none since then
        self.position = 0  # of the stream then: what was appended since, was heard here too
        self.is_blind = False  # it is the first, and nobody could say the position
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
        """To the node where the others listen; not again at once, as it may be out of reach."""
        if monotonic() - self._went_at < GO_EVERY:
            return
        self._went_at, self._post.node = monotonic(), ""
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
                self.is_blind = self.position < 0 and not self.ready.is_set()
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
            self._failed = 1
        over.cancel()

    def _heard_all_until(self, connection: ChannelConnection) -> tuple[int, float]:
        """In µs of the wall clock, and in seconds of the other."""
        heard_us, heard_at, post = connection.heard_us, connection.heard_at, self._post
        if post.echo.broken.is_set():
            reason = f"{post.node} doesn't hear all that is published"
            emit("outage", neighbour="redis", reason=reason)
            self._failed = 1  # so another one is asked next
        if not post.listener or post.echo.heard_at > heard_at:
            return heard_us, heard_at
        # Prices come late as words do: what was published before our own last word is here.
        return heard_us - int((heard_at - post.echo.heard_at) * 1e6), post.echo.heard_at


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
