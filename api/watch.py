"""Watch: says once that a neighbour is away and once that it is back, however many ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from pipeline.events import emit
from pipeline.outage import Outage


class Unusable(Outage):
    """It answers, but not this: a key of another type, a table or a right that isn't there."""


class Watch:
    """One neighbour's absence, as the requests that needed it saw it."""

    def __init__(self, neighbour: str) -> None:
        self._neighbour = neighbour
        self._since: float | None = None

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """Pass everything on; an Outage begins an absence, the next success ends it."""
        try:
            yield
        except Outage as outage:
            if self._since is None:
                self._since = monotonic()
                emit("outage", neighbour=self._neighbour, reason=outage.reason)
            raise
        if self._since is not None:
            lasted = round(monotonic() - self._since, 3)
            emit("outage.over", neighbour=self._neighbour, lasted_s=lasted)
            self._since = None
