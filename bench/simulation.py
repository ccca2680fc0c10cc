"""Simulation: how far a shard falls behind under bursts and failures, by the recorded unit costs"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bench import unit_costs
from bench.chart import Panel, Point, draw
from bench.plan import Plan
from bench.report import Report
from bench.unit_costs import UnitCosts

LOADS = (40, 60, 80, 90)  # % of the core that Redis has
PLANNED = 60
STEP = 0.1  # seconds
BEGIN = 10.0  # of what happens
END = 600.0
AGAIN = 1.0  # seconds behind that count as caught up
DRAWN = 120.0  # seconds

READERS = ("forwarder", "writer")
BEHIND = tuple(f"{reader}, s behind at most" for reader in READERS)
WELL, HANDS, HELD = "s until all is well", "messages in a bridge's hands", "MB in Redis"


@dataclass(frozen=True)
class Event:
    """For some seconds there is more to do, or somebody is away."""

    lasts: float
    times: float = 1.0  # the rate
    away: tuple[str, ...] = ()  # redis, bridge, forwarder, writer


# How long each takes is measured or set elsewhere: a lease, a peer's heartbeat, a request's limit;
# the failovers of Redis and PostgreSQL are their operators' to promise.
EVENTS = {
    "3 times the rate, 10 s": Event(10, times=3),
    "1.5 times the rate, 60 s": Event(60, times=1.5),
    "a bridge dies, 1 s": Event(1, away=("bridge",)),
    "a writer's host dies, 20 s": Event(20, away=("writer",)),
    "Centrifugo hangs, 8 s": Event(8, away=("forwarder",)),
    "Redis away, 15 s": Event(15, away=("redis",)),
    "PostgreSQL away, 60 s": Event(60, away=("writer",)),
}


@dataclass
class Outcome:
    """Seconds, but for the counts."""

    behind: dict[str, list[Point]] = field(default_factory=lambda: {name: [] for name in READERS})
    waiting: float = 0.0  # messages that a bridge held, at most
    held: float = 0.0  # entries that Redis held, at most

    def most(self, reader: str) -> float:
        return max(seconds for _, seconds in self.behind[reader])

    @property
    def again(self) -> float:
        """From the event's begin until everybody is there; END if that never is."""
        late = [at for line in self.behind.values() for at, seconds in line if seconds > AGAIN]
        return max(late) - BEGIN if late else 0.0


def run(_: Plan) -> Report:
    """By docs/bench.json; no clock, no server."""
    return simulated(unit_costs.read())


def simulated(costs: UnitCosts) -> Report:
    report = Report(grows="% of Redis's core")
    planned: dict[str, list[Point]] = {}
    for load in LOADS:
        figures: dict[str, float] = {}
        for name, event in EVENTS.items():
            outcome = play(costs, load / 100 * costs.shard_limit, event)
            figures |= {f"{name}: {what}": value for what, value in _told(outcome, costs)}
            if load == PLANNED:
                planned[name] = [p for p in outcome.behind["writer"] if p[0] <= DRAWN][::5]
        report.add({report.grows: load, "messages/s": load / 100 * costs.shard_limit} | figures)
    report.charts["simulation.svg"] = draw(
        Panel(f"The writer's lag at {PLANNED} %", "seconds", "s", planned, is_log=False),
        report.panel("From the event until nobody is behind", "s", f"(.*): {WELL}"),
    )
    return report


def _told(outcome: Outcome, costs: UnitCosts) -> Iterator[tuple[str, float]]:
    for reader, name in zip(READERS, BEHIND, strict=True):
        yield name, outcome.most(reader)
    yield WELL, outcome.again
    yield HANDS, outcome.waiting
    yield HELD, outcome.held * costs.kept / 1e6


def play(costs: UnitCosts, rate: float, event: Event) -> Outcome:
    """One shard, all of its messages as a fluid, from a calm beginning."""
    outcome, shard = Outcome(), _Shard(costs)
    for number in range(int(END / STEP)):
        now = number * STEP
        during = BEGIN <= now < BEGIN + event.lasts
        shard.step(rate * (event.times if during else 1), event.away if during else ())
        for reader in READERS:
            outcome.behind[reader].append((now, shard.behind(reader)))
        outcome.waiting = max(outcome.waiting, shard.published[-1] - shard.done["bridge"])
        slowest = min(shard.done[reader] for reader in READERS)
        outcome.held = max(outcome.held, shard.done["bridge"] - slowest)
    return outcome


class _Shard:
    """Each takes of Redis's one core and of its own, whichever gives less.

    Of Redis's the bridge takes first, as an append has all that waits; then the forwarder, which
    reads 5,000 at a time; the writer, which reads 500, has what they leave.
    """

    def __init__(self, costs: UnitCosts) -> None:
        own = {"bridge": costs.cpu["bridge"], "forwarder": costs.cpu["forwarder"]}
        # Reading and COPY go on at the same time, so the slower of the two counts.
        own["writer"] = max(costs.cpu["writer"], costs.cpu["postgres"])
        self._most = {name: STEP * 1e6 / us for name, us in own.items()}  # messages a step
        self._of_redis = {n: share * costs.cpu["redis"] for n, share in costs.redis_shares.items()}
        self.published = [0.0]  # in all, at the end of each step
        self.done = dict.fromkeys(own, 0.0)
        self._oldest = dict.fromkeys(own, 0)  # the step whose messages each has come to

    def step(self, rate: float, away: tuple[str, ...]) -> None:
        self.published.append(self.published[-1] + rate * STEP)
        source, left = self.published[-1], STEP * 1e6  # µs of Redis
        for name, most in self._most.items():
            possible = (
                0.0 if {name, "redis"} & set(away) else min(most, left / self._of_redis[name])
            )
            much = min(source - self.done[name], possible)
            self.done[name] += much
            left -= much * self._of_redis[name]
            source = self.done["bridge"]

    def behind(self, reader: str) -> float:
        """Seconds since the oldest message was published that it hasn't had."""
        step = self._oldest[reader]
        while step + 1 < len(self.published) and self.published[step + 1] <= self.done[reader] + 1:
            step += 1
        self._oldest[reader] = step
        return (len(self.published) - 1 - step) * STEP
