"""Plan: what a bench is asked to do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Each bench takes from it what concerns it; None is its own choice."""

    runs: int = 3
    rate: int | None = None  # messages a second; its own choice is to step up
    seconds: float | None = None  # of load at one rate
    entries: int = 1_000_000  # of a backlog
    sizes: tuple[int, ...] | None = None  # of what grows
    left_out: int | None = None  # a message that isn't sent, to see that it is missed
