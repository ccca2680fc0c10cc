"""Entry ids: `<ms>-<µs within the ms * 1024 + n>`, the time of receipt and the tick's identity."""

from pipeline.events import emit

SEQUENCES = 1000 << 10  # in one millisecond: 1,024 for each of its microseconds
CLOCK_STEP_US = 100_000  # an id further ahead of the clock than this means the clock went back


class EntryIds:
    """Ids that only rise, whatever the clock does."""

    def __init__(self) -> None:
        self._next_ms, self._next_sequence = 0, 0
        self._behind = False

    def start_above(self, last_id: bytes) -> None:
        """Never give out this id, nor one below it."""
        ms, sequence = id_pair(last_id)
        # A foreign id can carry a sequence that none of ours has: the next millisecond is above it.
        self._raise_to(ms, sequence + 1)

    def stamp(self, received_us: int, count: int) -> list[bytes]:
        """The ids of `count` messages received together."""
        ms, sequence = received_us // 1000, received_us % 1000 << 10
        self._watch_clock(received_us)
        self._raise_to(ms, sequence)
        ids: list[bytes] = []
        while count > 0:
            ms, begin = self._next_ms, self._next_sequence
            end = min(begin + count, SEQUENCES)
            ids += [b"%d-%d" % (ms, sequence) for sequence in range(begin, end)]
            count -= end - begin
            self._raise_to(ms, end)
        return ids

    def _raise_to(self, ms: int, sequence: int) -> None:
        if sequence >= SEQUENCES:
            ms, sequence = ms + 1, 0
        self._next_ms, self._next_sequence = max(
            (self._next_ms, self._next_sequence), (ms, sequence)
        )

    def _watch_clock(self, received_us: int) -> None:
        behind_us = self._next_ms * 1000 + (self._next_sequence >> 10) - received_us
        if behind_us > CLOCK_STEP_US and not self._behind:
            emit("bridge.clock_behind", seconds=behind_us / 1e6)
        self._behind = behind_us > CLOCK_STEP_US


def id_pair(entry_id: bytes) -> tuple[int, int]:
    """Ids as Redis orders them."""
    ms, _, sequence = entry_id.partition(b"-")
    return int(ms), int(sequence)


def id_us(entry_id: bytes) -> int:
    """The time of receipt in an id, in µs since the epoch."""
    ms, sequence = id_pair(entry_id)
    return ms * 1000 + min(sequence >> 10, 999)
