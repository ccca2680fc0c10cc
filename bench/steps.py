"""Steps: the highest of several rates that is sustained."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One rate, for some seconds."""

    rate: int
    is_sustained: bool
    figures: dict[str, float]

    @property
    def sustained(self) -> int:
        """0 if it wasn't: its figures are those of an overload."""
        return self.rate if self.is_sustained else 0


def highest(rates: Sequence[int], measure: Callable[[int], Step], near: int = 0) -> Step:
    """Up until one isn't sustained in two tries, from the last that isn't above `near`; else down.

    If none is sustained, it is the lowest. If the last one is, it says that more may be.
    """

    def tried(rate: int) -> Step:
        step = measure(rate)
        return step if step.is_sustained or len(rates) == 1 else measure(rate)

    begin = max(0, sum(rate <= near for rate in rates) - 1)
    step = tried(rates[begin])
    for rate in rates[begin + 1 :] if step.is_sustained else ():
        if not (following := tried(rate)).is_sustained:
            return step
        step = following
    if step.is_sustained and step.rate == rates[-1]:
        sys.stderr.write("  no higher rate was tried: it may be more\n")
    for rate in reversed(rates[:begin]):
        if step.is_sustained:
            break
        step = tried(rate)
    return step
