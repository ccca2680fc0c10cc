"""Comparison: tick by tick, what was published against the table, dead letters and the page."""

from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tests.chaos.load import STOCKS, Load
from tests.chaos.page import NEVER, Id, Page

SHOWN_DIFFERENCES = 10
FOR_EVER: Id = (1 << 63, 0)


class Stored(NamedTuple):
    """A row of the table, in the order of (timestamp, event_id)."""

    us: int
    event_id: int
    number: int

    @property
    def entry_id(self) -> Id:
        return self.event_id >> 20, self.event_id & 0xFFFFF


class Fault(NamedTuple):
    """From its beginning until all had recovered, by the clock of who published."""

    from_us: int
    to_us: int


@dataclass
class Totals:
    """What one line says of a run; `differences` are the first of those that fail it."""

    ticks: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    undeliverable: int = 0
    conflated: int = 0
    dead_letters: int = 0
    differences: list[str] = field(default_factory=list)

    def differ(self, kind: str, text: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        self.note(f"{kind}: {text}")

    def note(self, text: str) -> None:
        if len(self.differences) < SHOWN_DIFFERENCES:
            self.differences.append(text)


class Excuses:
    """What of one stock may be missing: it was published in a fault that a bridge called a gap.

    Which gap, is a matter of order and not of time: the bridge's clock may be a wrong one, and
    what it had received and not appended when it died, is missing from before its gap.
    """

    def __init__(
        self, load: Load, rows: list[Stored], holes: Sequence[Id], faults: Sequence[Fault]
    ) -> None:
        self._load, self._faults = load, faults
        ordered = sorted(rows, key=lambda row: row.number)
        self._numbers = [row.number for row in ordered]
        self._ids = [NEVER, *(row.entry_id for row in ordered), FOR_EVER]
        self._holes = holes

    def covers(self, number: int) -> bool:
        place = bisect(self._numbers, number)
        before, behind = self._ids[place], self._ids[place + 1]
        asked_us, answered_us = self._load.times[number]
        return any(before <= hole < behind for hole in self._holes) and any(
            fault.from_us <= answered_us and asked_us <= fault.to_us for fault in self._faults
        )


def compare(
    load: Load,
    table: dict[str, list[Stored]],
    page: Page,
    holes: Sequence[Id],
    faults: Sequence[Fault],
) -> Totals:
    """`holes` are those that a `bridge.gap` told: the entry that each comes after."""
    totals = Totals(ticks=load.published, undeliverable=load.unheard)
    late = Counter(page.skipped_late)
    for name in STOCKS:
        rows = table.get(name, [])
        excused = Excuses(load, rows, holes, faults)
        _compare_table(name, load, rows, excused, totals)
        _compare_page(name, rows, page, late, totals)
    return totals


def _compare_table(
    name: str, load: Load, rows: list[Stored], excused: "Excuses", totals: Totals
) -> None:
    counts = Counter(row.number for row in rows)
    for number, count in counts.items():
        for _ in range(count - 1):
            totals.differ("duplicated", f"{name} {number} is in the table {count} times")
        if not 0 < number <= load.number:
            totals.note(f"{name} {number} was never published")
    for earlier, later in _backwards([row.number for row in rows]):
        totals.differ("reordered", f"{name} {later} comes after {earlier} in the table")
    for number in sorted(load.heard[name] - counts.keys()):
        if excused.covers(number):
            totals.undeliverable += 1
            totals.ticks -= 1
        else:
            totals.differ("lost", f"{name} {number} isn't in the table")


def _compare_page(
    name: str, rows: list[Stored], page: Page, late: Counter[str], totals: Totals
) -> None:
    exchange = STOCKS[name]
    told = page.stretches.get(exchange, [])
    for row in rows:
        if row.entry_id in page.received[name]:
            continue
        if any(after < row.entry_id <= until for after, until in told):
            totals.conflated += 1
        elif late[exchange]:
            late[exchange] -= 1
            totals.conflated += 1
        else:
            totals.differ("lost", f"{name} {row.number} didn't reach the page, nor was it told")
    for earlier, later in _backwards(page.shown[name]):
        totals.differ("reordered", f"the page shows {name} {later} after {earlier}")
    last = rows[-1].number if rows else None
    if last != (page.shown[name][-1] if page.shown[name] else None):
        totals.differ("lost", f"the page's newest {name} isn't {last}, the table's newest")


def _backwards(numbers: list[int]) -> Iterable[tuple[int, int]]:
    return [(a, b) for a, b in pairwise(numbers) if b < a]
