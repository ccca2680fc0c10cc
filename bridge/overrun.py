"""Overrun: what the stream's cap cut although a group needed it, counted and said."""

from collections import Counter
from collections.abc import Sequence

from bridge.script import Cut
from bridge.settings import BridgeSettings
from pipeline.events import emit


class Overrun:
    """Every step of a trimming is counted, the whole of it is said once."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._limit = settings.stream_max_entries
        self._counts = dict.fromkeys(settings.stream_groups, 0)
        self._unread: Counter[str] = Counter()  # not yet said
        self._pending: Counter[str] = Counter()

    def note(self, cut: Sequence[Cut]) -> None:
        for group, unread, pending in cut:
            self._counts[group] += unread + pending
            self._unread[group] += unread
            self._pending[group] += pending

    def say(self) -> None:
        """One line for each group that lost something since the last call."""
        for group, unread in self._unread.items():
            lost = {"unread": unread, "pending": self._pending[group]}
            emit("stream.overrun", group=group, **lost, limit=self._limit)
        self._unread.clear()
        self._pending.clear()

    def metrics(self) -> list[dict[str, object]]:
        """Entries of each group, since the start of this process."""
        return [{"group": group, "value": count} for group, count in self._counts.items()]
