"""Backlog: the messages received and not yet appended, bounded, oldest dropped first."""

import asyncio
from collections import deque
from typing import NamedTuple

from pipeline.events import emit

PIECE = 1000  # messages in one script call: about 1.3 ms of Redis, so others get their turn
MAX_BYTES = 256 << 20


class Piece(NamedTuple):
    """Messages received in one read, each as Redis sent it: [b"message", channel, message]."""

    received_us: int
    messages: list[list[bytes]]
    size: int


class Backlog:
    """A queue between two connections: one that must never wait, one that sometimes has to."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: deque[Piece] = deque()
        self._size = 0
        self._overflowing = False
        self.length = 0
        self.received = 0
        self.dropped = 0
        self.arrival = asyncio.Event()
        self.closed = False

    def add(self, received_us: int, messages: list[list[bytes]], size: int) -> None:
        """Keep what one read brought; never waits."""
        self.received += len(messages)
        for begin in range(0, len(messages), PIECE):
            part = messages[begin : begin + PIECE]
            self._push(Piece(received_us, part, size * len(part) // len(messages)))
        while self._pieces and (self.length > self._limit or self._size > MAX_BYTES):
            self._drop()
        self.arrival.set()

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        self.arrival.set()

    def take(self) -> list[Piece]:
        """The oldest pieces, about `PIECE` messages; empty when there is none."""
        taken: list[Piece] = []
        count = 0
        while self._pieces and count + len(self._pieces[0].messages) <= PIECE:
            taken.append(self._pop())
            count += len(taken[-1].messages)
        if not self._pieces:
            self._overflowing = False
            if not self.closed:
                self.arrival.clear()
        return taken

    def discard_until(self, received_us: int) -> int:
        """Forget what was received up to then, since another bridge appended it; says how many."""
        discarded = 0
        while self._pieces and self._pieces[0].received_us <= received_us:
            discarded += len(self._pop().messages)
        return discarded

    def _push(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._size += piece.size
        self.length += len(piece.messages)

    def _pop(self) -> Piece:
        piece = self._pieces.popleft()
        self._size -= piece.size
        self.length -= len(piece.messages)
        return piece

    def _drop(self) -> None:
        self.dropped += len(self._pop().messages)
        if not self._overflowing:  # once per overflow; `progress` repeats the count
            self._overflowing = True
            emit("bridge.overflow", limit=self._limit, dropped=self.dropped)
