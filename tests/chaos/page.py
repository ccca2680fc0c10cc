"""Page: what a browser shows through all of it: its rule about ids, its snapshot after a gap."""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import aiohttp

from tests.chaos.load import STOCKS
from tests.feed_client import FeedClient
from tests.market import halves

AGAIN_AFTER = 1.0
Id = tuple[int, int]
NEVER: Id = (0, 0)


class Page(FeedClient):
    """Keeps what arrived, in which order it was shown, and which stretches it was told to miss."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url.replace("http", "ws") + "/connection/websocket", "prices:NYSE", "prices:NASDAQ"
        )
        self._snapshot_url = f"{url}/api/stocks"
        self._newest: dict[str, Id] = {}  # of a channel
        self._torn: set[str] = set()  # channels whose next publication comes after a gap
        self._reloads: set[asyncio.Task[None]] = set()
        self._shown_id: dict[str, Id] = {}
        self.received: dict[str, set[Id]] = {name: set() for name in STOCKS}
        self.shown: dict[str, list[int]] = {name: [] for name in STOCKS}  # numbers
        self.stretches: dict[str, list[tuple[Id, Id]]] = {}  # (after, until) of an exchange
        self.skipped_late: Counter[str] = Counter()  # ticks of an exchange, any before the newest

    async def run(self) -> None:
        try:
            await self.follow()
        finally:
            for reload in self._reloads:
                reload.cancel()

    def shows(self, name: str, number: int) -> bool:
        """A later one than that."""
        return self.shown[name][-1:] > [number]

    async def _begin(
        self, socket: aiohttp.ClientWebSocketResponse, channel: str, answer: dict[str, Any]
    ) -> None:
        if answer.get("was_recovering") and not answer.get("recovered"):
            self._torn.add(channel)
            reload = asyncio.create_task(self._reload())
            self._reloads.add(reload)
            reload.add_done_callback(self._reloads.discard)
        await super()._begin(socket, channel, answer)

    def _take(self, channel: str, publications: list[dict[str, Any]]) -> None:
        for publication in publications:
            epoch, _ = self._positions[channel]
            self._positions[channel] = (epoch, publication["offset"])
            self._show(channel, publication["data"])

    def _show(self, channel: str, data: dict[str, Any]) -> None:
        last = max(halves(tick[0]) for tick in data["ticks"])
        before = self._newest.get(channel, NEVER)
        if data["skipped"] or channel in self._torn:
            exchange = channel.partition(":")[2]
            if last > before:
                self.stretches.setdefault(exchange, []).append((before, last))
                self._torn.discard(channel)
            else:  # of a forwarder that died, sent by another: where it begins, isn't said
                self.skipped_late[exchange] += data["skipped"]
        self._newest[channel] = max(before, last)
        for entry_id, name, price, *_ in data["ticks"]:
            self._show_tick(name, halves(entry_id), int(price * 100))

    def _show_tick(self, name: str, entry_id: Id, number: int) -> None:
        self.received[name].add(entry_id)
        if entry_id > self._shown_id.get(name, NEVER):
            self._shown_id[name] = entry_id
            self.shown[name].append(number)

    async def _reload(self) -> None:
        """The snapshot, once the api is there."""
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError):
                async with aiohttp.ClientSession() as http, http.get(self._snapshot_url) as answer:
                    for row in (await answer.json())["stocks"]:
                        number = round(row["price"] * 100)
                        self._show_tick(row["stock_name"], halves(row["id"]), number)
                    return
            await asyncio.sleep(AGAIN_AFTER)
