"""Conflation: of ticks that are too old to be shown one by one, the newest of each stock."""

from collections.abc import Iterable
from typing import Self

Row = tuple[bytes, bytes, bytes, int]
"""Entry id, stock name in JSON, price as published, µs of receipt."""


class Conflation:
    """Of one exchange. The rows stay in stream order."""

    def __init__(self) -> None:
        self.newest: dict[bytes, Row] = {}  # by stock name
        self.skipped = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Later ones than there are."""
        newest = self.newest
        for row in rows:
            if newest.pop(row[1], None):  # so that a new one goes to the end
                self.skipped += 1
            newest[row[1]] = row

    def copy(self) -> Self:
        other = type(self)()
        other.newest, other.skipped = self.newest.copy(), self.skipped
        return other
