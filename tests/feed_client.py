"""FeedClient: a WebSocket client of the live feed that reconnects and recovers, as a page does."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import aiohttp

from tests.waiting import wait_until

AGAIN_AFTER = 0.1
BEGINNING = ("", 0)  # of the history, if it still has that

Publication = dict[str, Any]
Tick = list[Any]
"""Id, name, price (a Decimal: every digit counts) and time of receipt in µs."""


class FeedClient:
    """Follows channels; when Centrifugo can't say what was missed, it takes all of the history.

    If that has lost its beginning, it takes nothing, and goes on from where the channel is.
    """

    def __init__(self, url: str, *channels: str) -> None:
        self._url = url
        self._channels = channels
        self._positions: dict[str, tuple[str, int]] = {}  # epoch, offset of the last publication
        self._numbers = itertools.count(1)
        self._asked: dict[int, str] = {}  # which command subscribes to which channel
        self.publications: list[Publication] = []  # in order of arrival
        self.subscribed = 0
        self.gaps = 0

    @property
    def ticks(self) -> list[Tick]:
        return [tick for publication in self.publications for tick in publication["ticks"]]

    @property
    def ids(self) -> list[bytes]:
        return [tick[0].encode() for tick in self.ticks]

    async def has(self, *ids: bytes, limit: float = 10.0) -> None:
        """Return once all of these ticks are here."""
        what = f"{len(ids)} ticks in the feed"
        await wait_until(lambda: set(ids) <= set(self.ids), limit, what)

    async def follow(self) -> None:
        """Connect, and again whenever the connection is over, until cancelled."""
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with aiohttp.ClientSession() as http, http.ws_connect(self._url) as socket:
                    await self._talk(socket)
            await asyncio.sleep(AGAIN_AFTER)

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_json({"id": next(self._numbers), "connect": {}})
        for channel in self._channels:
            await self._subscribe(socket, channel)
        async for message in socket:
            for line in str(message.data).splitlines():
                reply = json.loads(line, parse_float=Decimal)
                if not reply:
                    await socket.send_str("{}")  # it pings like this, and expects the same
                elif "unsubscribe" in (push := reply.get("push", {})):  # it can't go on from there
                    await self._subscribe(socket, push["channel"])
                elif push:
                    self._take(push["channel"], [push["pub"]] if "pub" in push else [])
                elif reply["id"] in self._asked:
                    await self._begin(socket, self._asked.pop(reply["id"]), reply["subscribe"])

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse, channel: str) -> None:
        number = next(self._numbers)
        self._asked[number] = channel
        command: dict[str, Any] = {"channel": channel}
        if channel in self._positions:
            epoch, offset = self._positions[channel]
            command |= {"recover": True, "epoch": epoch, "offset": offset}
        await socket.send_json({"id": number, "subscribe": command})

    async def _begin(
        self, socket: aiohttp.ClientWebSocketResponse, channel: str, answer: dict[str, Any]
    ) -> None:
        missed = answer.get("was_recovering") and not answer.get("recovered")
        before = self._positions.get(channel, BEGINNING)
        if missed and before != BEGINNING:
            self.gaps += 1
            self._positions[channel] = BEGINNING
            unsubscribe = {"id": next(self._numbers), "unsubscribe": {"channel": channel}}
            await socket.send_json(unsubscribe)
            await self._subscribe(socket, channel)
            return
        self._positions[channel] = (answer["epoch"], answer.get("offset", before[1]))
        self._take(channel, answer.get("publications", []))
        self.subscribed += 1

    def _take(self, channel: str, publications: list[dict[str, Any]]) -> None:
        for publication in publications:
            epoch, _ = self._positions[channel]
            self._positions[channel] = (epoch, publication["offset"])
            self.publications.append(publication["data"])


@asynccontextmanager
async def following(url: str, *channels: str) -> AsyncIterator[FeedClient]:
    """A client that has its subscriptions, and keeps them."""
    client = FeedClient(url, *channels)
    following = asyncio.create_task(client.follow())
    try:
        await wait_until(lambda: client.subscribed == len(channels) or following.done())
        yield client
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
