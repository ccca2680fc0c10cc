"""Ring: what was appended last, kept so that a Redis that lost it gets it again."""

from bisect import bisect_right
from collections import deque
from datetime import timedelta

from bridge.ids import id_us
from bridge.script import Batch
from pipeline.tick import id_pair

MAX_BYTES = 128 << 20
OVERHEAD = 100  # bytes that an entry costs beside its message: two objects and their places


class Ring:
    """The appends of the last seconds before the newest one, oldest first."""

    def __init__(self, replay: timedelta, limit: int, together: int = 1) -> None:
        """`limit`: entries that the stream may have; what its cap cut must not come again.

        `together`: rings that share the memory of a process.
        """
        self._max_bytes = MAX_BYTES // together
        self._limit = limit
        self._replay_us = replay // timedelta(microseconds=1)
        self._batches: deque[tuple[Batch, int]] = deque()
        self._size = 0

    def add(self, batch: Batch) -> None:
        """Keep what the stream has; forget what is too old or too much."""
        if not batch.ids:
            return
        size = sum(map(len, batch.messages)) + OVERHEAD * len(batch.ids)
        self._batches.append((batch, size))
        self._size += size
        # Measured from the newest append, not from now: in an outage nothing gets too old.
        oldest_us = id_us(batch.mark) - self._replay_us
        while self._size > self._max_bytes or id_us(self._batches[0][0].mark) < oldest_us:
            self._size -= self._batches.popleft()[1]
            if not self._batches:
                return

    def keeps(self, entry_id: bytes) -> bool:
        """Whether it isn't too old to be here."""
        newest = self._batches[-1][0].mark if self._batches else entry_id
        return id_us(entry_id) >= id_us(newest) - self._replay_us

    def newer_than(self, last_id: bytes) -> deque[Batch]:
        """What a stream that ends there has lost, in the order and with the ids it had."""
        lost: deque[Batch] = deque()
        last, room = id_pair(last_id), self._limit
        for batch, _ in reversed(self._batches):
            if id_pair(batch.mark) <= last or not room:
                break
            since = bisect_right(batch.ids, last, key=id_pair)
            some = batch.since(max(since, len(batch.ids) - room))
            lost.appendleft(some)
            room -= len(some.ids)
        return lost
