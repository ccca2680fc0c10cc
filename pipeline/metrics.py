"""Distribution, Ages: how often, how much in sum, and the quantiles of an interval."""

from collections.abc import Sequence
from math import ceil, exp, log
from time import time

from pipeline.tick import id_pair

GROWTH = 1.04  # from one bucket to the next: a quantile is at most 2 % off
SMALLEST = 1e-6  # what is smaller, in seconds or in rows, isn't told apart
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

AGES_EVERY = 100  # entries of a batch of which one is looked at

_STEP = log(GROWTH)


class Distribution:
    """A histogram with fixed logarithmic buckets; to be told once a batch, not once a tick."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0.0
        self._interval: dict[int, int] = {}  # bucket → observations; only those that there were
        self._max = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """So often this value. Below zero, as an age is after a clock stepped back, it is zero."""
        value = max(value, 0.0)
        self._count += count
        self._sum += value * count
        self._max = max(self._max, value)
        bucket = int(log(max(value / SMALLEST, 1.0)) / _STEP)
        self._interval[bucket] = self._interval.get(bucket, 0) + count

    def read(self) -> dict[str, float | None]:
        """`count` and `sum` since the start, the rest since the last reading: None if nothing."""
        counted, self._interval = sorted(self._interval.items()), {}
        highest, self._max = self._max, 0.0
        total = sum(count for _, count in counted)
        quantiles = {
            name: min(_quantile(counted, ceil(share * total)), highest) if total else None
            for name, share in QUANTILES.items()
        }
        return {
            "count": self._count,
            "sum": self._sum,
            **quantiles,
            "max": highest if total else None,
        }


class Ages(Distribution):
    """Seconds from the time in an entry's id to now, by the wall clock as the id is."""

    def observe_batch(self, ids: Sequence[bytes], count: int) -> None:
        """Of a batch of `count` entries, oldest first, every `AGES_EVERY`th id.

        Each stands for itself and those up to the next, none of which is older.
        """
        now = time()
        for entry_id in ids:
            several = min(count, AGES_EVERY)
            self.observe(now - received_s(entry_id), several)
            count -= several


def received_s(entry_id: bytes) -> float:
    """The time in an entry id, in seconds since the epoch; of a stranger's id too."""
    ms, sequence = id_pair(entry_id)
    return ms / 1e3 + min(sequence >> 10, 999) / 1e6


def _quantile(counted: list[tuple[int, int]], rank: int) -> float:
    """The middle of the bucket in which the value of that rank is."""
    for bucket, count in counted:
        rank -= count
        if rank <= 0:
            return SMALLEST * exp((bucket + 0.5) * _STEP)
    raise ValueError("no such rank")
