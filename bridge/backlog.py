"""Backlog: the messages received and not known to be appended, bounded, oldest dropped first."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from bridge.control import Marker
from pipeline.events import emit
from pipeline.shards import shard_of

PIECE = 1000  # messages in one script call: about 1.3 ms of Redis, so others get their turn
MAX_BYTES = 256 << 20


class Piece(NamedTuple):
    """Messages received in one read, and the channel of each: columns, not an object a message."""

    received_us: int
    channels: tuple[bytes, ...]
    messages: tuple[bytes, ...]
    size: int

    def of_shard(self, shard: int, shards: int) -> "Piece":
        """What of it belongs into that stream of several."""
        kept = [at for at, each in enumerate(self.messages) if shard_of(each, shards) == shard]
        channels = tuple(self.channels[index] for index in kept)
        messages = tuple(self.messages[index] for index in kept)
        return Piece(
            self.received_us, channels, messages, self.size * len(kept) // len(self.messages)
        )

    def split(self, count: int) -> tuple["Piece", "Piece"]:
        size = self.size * count // len(self.messages)
        head = Piece(self.received_us, self.channels[:count], self.messages[:count], size)
        rest = (self.channels[count:], self.messages[count:], self.size - size)
        return head, Piece(self.received_us, *rest)


@dataclass
class Hole:
    """A place where messages are missing, so that others' counts don't reach across it."""

    from_us: int = 0  # 0: these weren't missed, but dropped
    to_us: int = 0  # 0: there is no subscription yet
    offered: bool = False  # who could fill it has had his chance to take the lease


class Backlog:
    """A queue between two connections: one that must never wait, one that sometimes has to."""

    def __init__(self, limit: int, together: int = 1) -> None:
        """`limit`: messages; `together`: backlogs that share the memory of a process."""
        self._limit = limit
        self._max_bytes = MAX_BYTES // together
        self._items: deque[Piece | Marker | Hole] = deque()
        self._size = 0
        self._overflowing = False
        self.length = 0
        self.received = 0
        self.dropped = 0
        self.untold = 0  # dropped, and in no notice yet
        self.arrival = asyncio.Event()
        self.closed = False

    @property
    def hole(self) -> Hole | None:
        """The hole that comes next; None if there is something ahead of it."""
        front = self._items[0] if self._items else None
        return front if isinstance(front, Hole) else None

    def offer_holes(self) -> None:
        """Nobody who could fill them took the lease while it was free."""
        for item in self._items:
            if isinstance(item, Hole):
                item.offered = True

    @property
    def torn(self) -> bool:
        return any(isinstance(item, Hole) for item in self._items)

    def add(self, read: Piece) -> None:
        """Keep what one read brought; never waits."""
        self.received += len(read.messages)
        while len(read.messages) > PIECE:
            piece, read = read.split(PIECE)
            self._append(piece)
        self._append(read)
        while self.length and (self.length > self._limit or self._size > self._max_bytes):
            self.drop()
        self.arrival.set()

    def insert(self, item: Marker | Hole) -> None:
        """What is said between the messages keeps its place among them."""
        if isinstance(item, Marker) and self._items and isinstance(self._items[-1], Marker):
            self._items.pop()  # one for each place: all who have the older one have this one
        self._items.append(item)
        self.arrival.set()

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        self.arrival.set()

    def take(self) -> tuple[list[Piece], bytes]:
        """The oldest pieces, `PIECE` messages or some more, and the name of the marker behind."""
        taken: list[Piece] = []
        room, answered = PIECE, b""
        while self._items:
            item = self._items[0]
            if isinstance(item, Hole) or (isinstance(item, Piece) and room <= 0):
                break
            self._items.popleft()
            if isinstance(item, Marker):
                answered = item.name
                break
            taken.append(item)
            self._count(item, -1)
            room -= len(item.messages)
        if not self._items or self.hole:
            self._overflowing = False
            if not self.closed:
                self.arrival.clear()
        return taken, answered

    def give_back(self, pieces: list[Piece]) -> None:
        """What was taken and isn't appended comes first again; a hole if there is one behind."""
        if self.untold:
            self._items.appendleft(Hole())
        for piece in reversed(pieces):
            self._items.appendleft(piece)
            self._count(piece, 1)
        self.arrival.set()

    def cover(self, count: int, *, across: bool = False) -> list[Piece]:
        """Take exactly so many messages, markers aside; fewer where a hole begins."""
        covered: list[Piece] = []
        while count > 0 and self._items and (across or not self.hole):
            item = self._items.popleft()
            if not isinstance(item, Piece):
                continue
            self._count(item, -1)
            if len(item.messages) > count:
                item, rest = item.split(count)
                self._items.appendleft(rest)
                self._count(rest, 1)
            covered.append(item)
            count -= len(item.messages)
        return covered

    def cover_until(self, marker: Marker) -> bool:
        """Forget all that came ahead of the marker; False, and nothing, if it isn't here."""
        if marker not in self._items:
            return False
        while (item := self._items.popleft()) != marker:
            if isinstance(item, Piece):
                self._count(item, -1)
        self.untold = 0
        return True

    def pass_hole(self) -> None:
        """Go on behind the hole that comes next."""
        self._items.popleft()
        self.untold = 0
        self.arrival.set()

    def messages(self) -> Iterator[tuple[bytes, bytes]]:
        """All of them, each after its channel."""
        for item in self._items:
            if isinstance(item, Piece):
                yield from zip(item.channels, item.messages, strict=True)

    def drop(self) -> None:
        """The oldest piece, and markers ahead of it, since their answer tells no more what is left.

        Holes stay.
        """
        holes = []
        while not isinstance(piece := self._items.popleft(), Piece):
            if isinstance(piece, Hole):
                holes.append(piece)
        self._items.extendleft(reversed(holes))
        self._count(piece, -1)
        self.dropped += len(piece.messages)
        self.untold += len(piece.messages)
        if not self._overflowing:  # once per overflow; `progress` repeats the count
            self._overflowing = True
            emit("bridge.overflow", limit=self._limit, dropped=self.dropped)

    def _append(self, piece: Piece) -> None:
        self._items.append(piece)
        self._count(piece, 1)

    def _count(self, piece: Piece, sign: int) -> None:
        self._size += sign * piece.size
        self.length += sign * len(piece.messages)
