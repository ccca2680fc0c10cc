"""Entry ids: `<ms>-<µs within the ms * 1024 + n>`, the time of receipt and the tick's identity."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, overload

from pipeline.events import emit
from pipeline.tick import id_pair

SEQUENCES = 1000 << 10  # in one millisecond: 1,024 for each of its microseconds
CLOCK_STEP_US = 100_000  # an id further ahead of the clock than this means the clock went back
RUN = rb"\d{1,20}-\d{1,20}\+\d{1,9}"
RUNS = re.compile(rb"(%b(,%b)*)?" % (RUN, RUN))


class Run(NamedTuple):
    """Consecutive ids in one millisecond."""

    ms: int
    sequence: int
    length: int

    @property
    def us(self) -> int:
        """The time of receipt, in µs since the epoch."""
        return self.ms * 1000 + min(self.sequence >> 10, 999)


@dataclass(frozen=True)
class Ids(Sequence[bytes]):
    """Entry ids, oldest first, as runs: of messages received together a thousand cost as one."""

    runs: tuple[Run, ...] = ()

    @classmethod
    def of(cls, ids: Iterable[bytes]) -> "Ids":
        return cls(tuple(Run(*id_pair(entry_id), 1) for entry_id in ids))

    @classmethod
    def parse(cls, said: bytes) -> "Ids | None":
        """What `encode` made; None for anything else."""
        if not RUNS.fullmatch(said):
            return None
        fields = [run.replace(b"+", b"-").split(b"-") for run in said.split(b",") if run]
        return cls(tuple(Run(*map(int, each)) for each in fields))

    def encode(self) -> bytes:
        """`<ms>-<sequence>+<length>`, with commas between."""
        return b",".join([b"%d-%d+%d" % run for run in self.runs])

    @cached_property
    def _count(self) -> int:
        return sum(run.length for run in self.runs)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        for ms, begin, length in self.runs:
            for sequence in range(begin, begin + length):
                yield b"%d-%d" % (ms, sequence)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> "Ids": ...
    def __getitem__(self, index: int | slice) -> "bytes | Ids":
        if isinstance(index, slice):
            return Ids.of(list(self)[index])
        left = index if index >= 0 else index + len(self)
        for ms, sequence, length in self.runs if left >= 0 else ():
            if left < length:
                return b"%d-%d" % (ms, sequence + left)
            left -= length
        raise IndexError(index)

    @property
    def last(self) -> bytes:
        """The newest one; there must be one."""
        ms, sequence, length = self.runs[-1]
        return b"%d-%d" % (ms, sequence + length - 1)


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

    def stamp(self, received_us: int, count: int) -> list[Run]:
        """The ids of `count` messages received together."""
        ms, sequence = received_us // 1000, received_us % 1000 << 10
        self._watch_clock(received_us)
        self._raise_to(ms, sequence)
        runs: list[Run] = []
        while count > 0:
            ms, begin = self._next_ms, self._next_sequence
            end = min(begin + count, SEQUENCES)
            runs.append(Run(ms, begin, end - begin))
            count -= end - begin
            self._raise_to(ms, end)
        return runs

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


def id_us(entry_id: bytes) -> int:
    """The time of receipt in an id, in µs since the epoch."""
    ms, sequence = id_pair(entry_id)
    return ms * 1000 + min(sequence >> 10, 999)
