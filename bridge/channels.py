"""ChannelConnection: prices and what bridges say, as they come from Redis, into the backlog."""

import time
from asyncio import Event
from time import monotonic
from typing import Any

import hiredis

from bridge.backlog import Piece
from bridge.lineup import LineUp
from bridge.post import Post
from bridge.resp import Connection

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
        self.answer = Event()
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
        elif isinstance(item, list) and item[0] == b"pong" and item[1]:
            self.echo = item[1]
            self.answer.set()
