"""Plan: what a bench is asked to do."""

from dataclasses import dataclass

from bench.target import Target


@dataclass(frozen=True)
class Plan:
    """Each bench takes from it what concerns it."""

    target: Target
    rate: float
    seconds: float
