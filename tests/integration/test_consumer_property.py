"""The consumers' protocol on a real Redis, searched for a loss, a theft or a wrong burial."""

import os
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from hypothesis.strategies import booleans, integers, lists, sampled_from

from pipeline import peers, suspects
from pipeline.lag import read_lag
from pipeline.stream import Gathering
from tests.consumer_books import KILLER, REFUSED, Life
from tests.consumer_world import AT_ONCE, GATHERED, SCALE, World
from tests.consuming import GROUP
from tests.stepping import settled

SHORT = 50  # sequences, always the same ones
LONGER = "CONSUMER_SEQUENCES"  # so many others, by chance
FATES = ["answered", "answered", "cut before", "cut after", "held", "late"]
MESSAGES = [b"ok", b"ok", b"ok", REFUSED, KILLER, b"odd"]

who = integers(0, 2)


class Consumers(RuleBasedStateMachine):
    """Up to three processes in one group, each as far as the test lets its commands through."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.world = World(url)
        self.books = self.world.books
        peers.monotonic = self.world.loop.time  # type: ignore[assignment] # `quick` puts it back
        self.appended = 0
        self.failed = False
        for name in ("one", "two"):
            self.start(name, AT_ONCE)

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        self.failed = True
        result = self.world.run(step)
        self.failed = False
        return result

    def chosen(self, who: int) -> list[Life]:
        """One of those who live, or nobody."""
        living = self.books.living
        return [living[who % len(living)]] if living else []

    # -- what processes do --------------------------------------------------------------------

    @rule(messages=lists(sampled_from(MESSAGES), min_size=1, max_size=5))
    def append(self, messages: list[bytes]) -> None:
        """With rising ids, as the bridge makes them."""
        for message in messages:
            self.appended += 1
            entry = b"%d-%d" % (self.appended // 3 + 1, self.appended)
            self.books.entries[entry] = message
        self.run(self.world.add(list(self.books.entries)[-len(messages) :]))

    @rule(name=sampled_from(["one", "two", "three"]), gathering=sampled_from([AT_ONCE, GATHERED]))
    def start(self, name: str, gathering: Gathering) -> None:
        if len(self.books.living) < 3:
            self.run(self.world.begin(name, gathering))

    @rule(who=who, which=integers(0, 1), fate=sampled_from(FATES))
    def step(self, who: int, which: int, fate: str) -> None:
        """One command, on its way for as long as we like."""
        for life in self.chosen(who):
            for call in life.client.calls[which : which + 1]:
                self.run(self.world.serve(life, call, fate))

    @rule(who=who, steps=integers(1, 9))
    def work(self, who: int, steps: int) -> None:
        for life in self.chosen(who):
            self.run(self.world.go_on(life, steps))

    @rule(who=who, outcome=sampled_from(["done", "done", "outage", "bug"]))
    def handle(self, who: int, outcome: str) -> None:
        for life in self.chosen(who):
            self.run(self.world.end_handling(life, outcome))

    @rule(who=who, late=booleans())
    def kill(self, who: int, late: bool) -> None:  # noqa: FBT001 # hypothesis passes it by name
        for life in self.chosen(who):
            self.run(self.world.end_life(life, late=late))

    @rule(who=who, in_time=booleans())
    def stop(self, who: int, in_time: bool) -> None:  # noqa: FBT001 # hypothesis passes it by name
        for life in self.chosen(who):
            life.stop.set()
            if not in_time:
                life.task.cancel()
            self.run(settled())

    @rule()
    def deliver_late(self) -> None:
        """What an old connection still had."""
        if self.world.late:
            self.run(self.world.execute(*self.world.late.pop(0)))

    @rule(moments=sampled_from([1, 3, 8, 13, 36]), absent=integers(0, 4))
    def wait(self, moments: int, absent: int) -> None:
        """Some seconds, in which one of them may be cut off."""
        self.run(self.world.pass_time(moments, self.books.living[absent : absent + 1]))

    # -- what befalls Redis ---------------------------------------------------------------------

    @rule(befalls=sampled_from(["vanish", "vanish", "destroy", "flush", "cut"]))
    def befall(self, befalls: str) -> None:
        self.run(getattr(self.world, befalls)())

    @rule(reads=integers(1, 5), acks=integers(0, 5))
    def read_as_another_group(self, reads: int, acks: int) -> None:
        self.run(self.world.read_as_other(reads, acks))

    @rule()
    def trim(self) -> None:
        self.run(self.world.trim())

    @rule()
    def ask_for_lag(self) -> None:
        if self.books.view.delivered is not None and not self.books.cut:
            now = self.books.view
            to_come = sum(1 for entry in now.ids if now.is_to_come(entry))
            told = self.run(read_lag(self.world.redis, self.world.stream, GROUP))
            assert told["lag_entries"] in (None, len(now.pending) + to_come)

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.run(self.world.recover())
        finally:
            self.world.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIFE", "BEAT_EVERY", "ANSWER_LIMIT", "GRACE", "OVERDUE", "LOOK_EVERY"):
        monkeypatch.setattr(peers, name, getattr(peers, name) * SCALE)
    monkeypatch.setattr(peers, "monotonic", peers.monotonic)
    monkeypatch.setattr(peers, "CLAIMED_TOGETHER", 3)
    monkeypatch.setattr(suspects, "SUSPICIOUS", 3)
    monkeypatch.setattr(suspects, "DEATHS", 2)


def test_no_entry_is_lost_or_taken_from_the_living_whatever_befalls(redis_url: str) -> None:
    longer = os.environ.get(LONGER)
    search = settings(
        max_examples=int(longer or SHORT),
        derandomize=not longer,
        stateful_step_count=40,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: Consumers(redis_url), settings=search)
