"""The consumers' protocol on a real Redis, searched for a loss, a theft or a wrong burial."""

import os
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from hypothesis.strategies import integers, lists, sampled_from, sets

from pipeline import peers, suspects
from pipeline.stream import Gathering
from tests.consumer_books import KILLER, REFUSED, Life
from tests.consumer_world import AHEAD, AT_ONCE, GATHERED, SCALE, World
from tests.stepping import settled

SHORT = 50  # sequences, always the same ones
LONGER = int(os.environ.get("CONSUMER_SEQUENCES", "0"))  # others, by chance: some minutes for 2000
FATES = ["answered", "answered", "cut before", "cut after", "held", "late"]
UNTIL_THEY_JUDGE = 6  # seconds: each other's heartbeats
ENOUGH, FEW = 40, 20  # entries; and those among which each killer takes its deaths
MESSAGES = [b"ok", b"ok", b"ok", REFUSED, KILLER, b"odd"]

who = integers(0, 2)


class Consumers(RuleBasedStateMachine):
    """Up to three processes in one group, each as far as the test lets its commands through."""

    def __init__(self, url: str, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.world = World(url)
        self.books = self.world.books
        patch.setattr("pipeline.peers.monotonic", self.world.loop.time)
        self.appended = 0
        self.failed = False
        for name in ("one", "two"):
            self.start(name, AT_ONCE)
        self.run(self.world.pass_time(UNTIL_THEY_JUDGE, self.books.living))

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
        for message in messages if len(self.books.entries) < ENOUGH else ():
            self.appended += 1
            entry = b"%d-%d" % (self.appended // 3 + 1, self.appended)
            deadly = self.appended < FEW and message == KILLER
            self.books.entries[entry] = message if deadly or message != KILLER else b"ok"
            self.run(self.world.neighbours.add([entry]))

    @rule(
        name=sampled_from(["one", "two", "three"]),
        gathering=sampled_from([AT_ONCE, GATHERED, AHEAD, AHEAD]),
    )
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

    @rule(who=who, how=sampled_from(["kill", "kill as it sends", "stop", "stop in no time"]))
    def end(self, who: int, how: str) -> None:
        for life in self.chosen(who):
            if how.startswith("kill"):
                self.run(self.world.end_life(life, late=how != "kill"))
                continue
            life.stop.set()
            if how != "stop":
                life.task.cancel()
            self.run(settled())

    @rule(seconds=sampled_from([1, 1, 2, 4, 10]), present=sets(integers(0, 2)))
    def wait(self, seconds: int, present: set[int]) -> None:
        """The others are cut off, or asleep."""
        here = [life for at, life in enumerate(self.books.living) if at in present]
        self.run(self.world.pass_time(seconds, here))

    @rule(befalls=sampled_from(["late", "late", "destroy", "flush", "cut"]))
    def befall(self, befalls: str) -> None:
        deed = self.world.late if befalls == "late" else getattr(self.world.neighbours, befalls)
        self.run(deed())

    @rule(who=who, steps=integers(0, 3))
    def vanish(self, who: int, steps: int) -> None:
        """All heartbeats, while somebody has work in hand, and somebody else goes on."""
        self.append([b"ok"])
        self.work(who, 9)
        self.run(self.world.neighbours.vanish())
        self.work(who + 1, steps)

    @rule(reads=integers(1, 5), acks=integers(0, 5))
    def trim(self, reads: int, acks: int) -> None:
        """After what another group has done."""
        self.run(self.world.neighbours.read_as_other(reads, acks))
        self.run(self.world.neighbours.trim())
        self.run(self.world.neighbours.ask_for_lag())

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.run(self.world.recover())
        finally:
            self.world.close()


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Seconds that only pass when we say so, and few deaths and entries for what takes many."""
    for name in ("LIFE", "BEAT_EVERY", "ANSWER_LIMIT", "GRACE", "OVERDUE"):
        monkeypatch.setattr(peers, name, getattr(peers, name) * SCALE)
    monkeypatch.setattr(peers, "LIFE", 8 * SCALE)
    monkeypatch.setattr(peers, "LOOK_EVERY", 0)
    monkeypatch.setattr(peers, "CLAIMED_TOGETHER", 3)
    monkeypatch.setattr(suspects, "SUSPICIOUS", 3)
    monkeypatch.setattr(suspects, "DEATHS", 2)
    return monkeypatch


@pytest.mark.timeout(120 + 2 * LONGER)
def test_no_entry_is_lost_or_taken_from_the_living_whatever_befalls(
    redis_url: str, stepped: pytest.MonkeyPatch
) -> None:
    class Here(Consumers):
        def __init__(self) -> None:
            super().__init__(redis_url, stepped)

    search = settings(
        max_examples=LONGER or SHORT,
        derandomize=not LONGER,
        stateful_step_count=40,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Here, settings=search)
