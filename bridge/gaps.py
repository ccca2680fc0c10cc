"""Gaps: times without a subscription: said at once, kept where the status page reads them."""

from typing import NamedTuple

from bridge.script import StreamScript
from pipeline.events import emit


class Gap(NamedTuple):
    """A time without a subscription: what was published then, nobody can bring back."""

    from_us: int
    to_us: int
    reason: str

    @property
    def seconds(self) -> float:
        return (self.to_us - self.from_us) / 1e6


class Gaps:
    """`counts` are since the start of this process."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {"gaps": 0, "gap_seconds": 0.0}
        self._unkept: list[Gap] = []

    def note(self, gap: Gap, after: bytes) -> None:
        """Say that one is over; `after` is the entry it comes after: times are a clock's matter."""
        emit("bridge.gap", after=after.decode(), **gap._asdict(), seconds=gap.seconds)
        self.counts["gaps"] += 1
        self.counts["gap_seconds"] += gap.seconds
        self._unkept.append(gap)

    async def keep(self, script: StreamScript) -> None:
        """Put those that were said into Redis; raises Outage."""
        while self._unkept:
            await script.record_gap(*self._unkept[0])
            del self._unkept[0]
