"""Books: what consumers promise, written down beside Redis and compared after each command."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline import peers, suspects
from pipeline.stream import Consumer, Entry, Gathering, Rejected
from tests.consumer_view import View
from tests.consuming import GROUP, stream_settings
from tests.stepping import Call, stepped

BATCH = 4
DRIFT_MS = 60_000  # of real time, in which the stepped seconds are a thousand times longer
REFUSED = b"bad"
KILLER = b"killer"


class Life:
    """One process: its consumer, and the entries in its hand that nobody may take from it."""

    def __init__(self, url: str, stream: str, name: str, gathering: Gathering) -> None:
        self.client = stepped(url)
        settings = stream_settings(url, stream, consumer=name, batch=BATCH)
        self.stop = asyncio.Event()
        self.in_hand: dict[bytes, bytes] = {}  # and the name that Redis knows them under
        self.marked: set[bytes] = set()
        self.vanished_at: float | None = None
        self.batch: Sequence[Entry] | None = None  # with the handler
        self.faulty = False
        self._word: asyncio.Future[Sequence[Rejected]] | None = None
        self._consumer = Consumer(self.client, GROUP, settings, gathering)
        running = self._consumer.run(self._handle, self.stop)
        self.task = asyncio.get_running_loop().create_task(running)

    @property
    def consumer(self) -> str:
        return self._consumer._peers.name  # noqa: SLF001 - nobody else needs it

    @property
    def ended(self) -> bool:
        return self.task.done()

    async def _handle(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        self.batch, self._word = batch, asyncio.get_running_loop().create_future()
        try:
            return await self._word
        finally:
            self.batch = None

    def say(self, word: Sequence[Rejected] | Exception) -> None:
        """The handler's outcome."""
        assert self._word
        if isinstance(word, Exception):
            self._word.set_exception(word)
        else:
            self._word.set_result(word)

    def kill(self) -> list[Call]:
        """Returns what it has sent: Redis may get it all the same."""
        sent = [call for call in self.client.calls if not call.executed]
        self.client.dead = True
        self.task.cancel()
        return sent


class Books:
    """Every look at Redis goes through `observe`, which knows whose command made the difference."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.lives: list[Life] = []
        self.entries: dict[bytes, bytes] = {}
        self.effects: Counter[bytes] = Counter()
        self.lost: set[bytes] = set()  # as an event said
        self.cut: set[bytes] = set()  # their bodies are gone
        self.deaths: Counter[bytes] = Counter()  # with this entry marked
        self._buried: set[bytes] = set()
        self._letters_before: Counter[bytes] = Counter()  # this group was made
        self._owner: dict[bytes, Life] = {}
        self._over: list[Life] = []

    @property
    def living(self) -> list[Life]:
        return [life for life in self.lives if not life.ended]

    def names(self) -> set[bytes]:
        return {life.consumer.encode() for life in self.living}

    def living_no_more(self) -> list[Life]:
        """Those who have ended since we last asked."""
        found = [life for life in self.lives if life.ended and life not in self._over]
        for life in found:
            self._over.append(life)
            self.deaths.update(life.marked)
            life.in_hand.clear()
        return found

    def unsettled(self) -> list[bytes]:
        return [entry for entry in self.entries if not self.is_settled(entry)]

    def is_settled(self, entry: bytes) -> bool:
        return bool(self.effects[entry] or entry in self._buried or entry in self.lost)

    # -- what happens -----------------------------------------------------------------------

    def delivered(self, life: Life, call: Call) -> None:
        """From now on in his hand, if he is known to be alive."""
        if not call.entries:
            return
        name = str(call.arguments[3]).encode()
        there = name in self.view.alive or life.vanished_at is not None
        if self._owner.get(name) is life and there and not life.ended:
            life.in_hand |= dict.fromkeys(call.entries, name)

    def not_delivered(self, life: Life, call: Call) -> None:
        for entry in call.entries:
            life.in_hand.pop(entry, None)

    def takes_effect(self, life: Life, rejected: Iterable[bytes]) -> None:
        assert life.batch
        found = [entry[0] for entry in life.batch]
        assert not set(life.in_hand) & set(found) - set(self.view.pending)
        self.effects.update(set(found) - set(rejected))

    def heartbeats_vanish(self, now: float) -> None:
        for name, life in self._owner.items():
            if name in self.view.alive:
                life.vanished_at = now

    def time_passed(self, expired: Iterable[bytes], now: float) -> None:
        for name in expired:
            if life := self._owner.pop(name, None):
                life.in_hand.clear()
        for life in self.lives:
            if life.vanished_at is not None and now >= life.vanished_at + peers.GRACE:
                life.in_hand.clear()
                life.vanished_at = None

    def group_is_gone(self, *, with_letters: bool) -> None:
        """All that is still there comes again."""
        found = [entry for entry, _ in self.view.letters] if with_letters else []
        self._letters_before = Counter(found)
        for entry in {*self.cut} & {*self.unsettled()}:
            del self.entries[entry]
        for life in self.lives:
            life.in_hand.clear()

    def body_is_gone(self, entry: bytes) -> None:
        if entry in self.view.pending:
            self.cut.add(entry)
        elif not self.is_settled(entry):
            del self.entries[entry]  # nobody has had it, so nobody can tell

    # -- what Redis has ---------------------------------------------------------------------

    def observe(self, view: View, actor: Life | None = None) -> None:
        old, self.view = self.view, view
        self._buried |= {entry for entry, _ in view.letters}
        for name in old.alive.keys() | view.alive.keys():
            self._follow_heartbeat(name, old, actor)
        self._follow_marks(old, actor)
        self._check_hands()
        self._check_entries()
        self._check_letters()

    def _follow_heartbeat(self, name: bytes, old: View, actor: Life | None) -> None:
        was, now = old.alive.get(name), self.view.alive.get(name)
        if (was and was[0]) == (now and now[0]) or not actor:
            return
        before = self._owner.pop(name, None)
        if before and (not now or before is not actor):
            before.in_hand.clear()
        if now:
            stale = (peers.LIFE - peers.OVERDUE) * 1000 + DRIFT_MS
            assert before is actor or not was or was[1] <= stale, f"{name!r} is taken too early"
            self._owner[name], actor.vanished_at = actor, None

    def _follow_marks(self, old: View, actor: Life | None) -> None:
        if not actor:
            return
        marks = self.view.marks
        new = {entry for entry, mark in marks.items() if old.marks.get(entry) != mark}
        if actor.ended:
            self.deaths.update(new)
        actor.marked = (actor.marked | new) & set(marks)

    def _check_hands(self) -> None:
        for life in self.living:
            for entry, name in list(life.in_hand.items()):
                owner = self.view.pending.get(entry)
                if owner != name:
                    assert not owner, f"{entry!r} is in the hand of {name!r}, {owner!r} has it now"
                    del life.in_hand[entry]  # acknowledged, by him or by who had it before

    def _check_entries(self) -> None:
        """Not handled, not buried, not said to be lost: it must be on its way."""
        there = set(self.view.ids)
        for entry in self.entries:
            if not self.is_settled(entry) and entry not in self.cut:
                assert entry in there, f"{entry!r} is gone"
                known = entry in self.view.pending or self.view.is_to_come(entry)
                assert known, f"{entry!r} is acknowledged"

    def _check_letters(self) -> None:
        new = Counter(entry for entry, _ in self.view.letters) - self._letters_before
        for entry, count in new.items():
            assert count == 1, f"{entry!r} is buried {count} times"
            assert entry not in self.view.pending, f"{entry!r} is buried and pending"
        for entry, reason in self.view.letters:
            enough = self.deaths[entry] >= suspects.DEATHS
            assert enough or reason != suspects.REASON.encode(), f"{entry!r} killed nobody"
