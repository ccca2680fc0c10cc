"""Cluster: shards on three masters; one, a bridge and a writer are killed in mid-load"""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bench.backlog import STOCKS
from bench.load import Load
from bench.path import GROUPS
from bench.plan import Plan
from bench.report import Report
from bench.system import System, wait_until
from bench.writer import judged
from tests.redis_cluster import RedisCluster, redis_cluster

RATE, SECONDS = 10_000, 60.0
SHARDS, BRIDGES, WRITERS = 3, 2, 3
STREAMS = tuple(f"ticks:{{{shard}}}" for shard in range(SHARDS))
HIT, SPARED = STREAMS[0], STREAMS[1]  # whose master is killed, and where it is published
NODE_TIMEOUT = "5000"  # ms, as docs/redis-cluster.md has it
LOOK_EVERY = 0.05


@dataclass
class Watched:
    """How long nothing was appended to each stream while the load lasted, at most, in seconds."""

    appended: dict[str, int] = field(default_factory=dict)
    grown_at: dict[str, float] = field(default_factory=dict)
    stood: dict[str, float] = field(default_factory=dict)

    def look(self, cluster: RedisCluster) -> str:
        """Who is the master of the one that is hit."""
        for stream in STREAMS:
            now, appended = time.monotonic(), cluster.appended(stream)
            if appended > self.appended.get(stream, 0):
                stood = now - self.grown_at.get(stream, now)
                self.stood[stream] = max(stood, self.stood.get(stream, 0.0))
                self.appended[stream], self.grown_at[stream] = appended, now
        return cluster.master(HIT)


def run(plan: Plan) -> Report:
    """Each run on a cluster of its own: all are killed after a third, and come back after two."""
    report = Report()
    load = Load(plan.rate or RATE, plan.seconds or SECONDS, STOCKS, left_out=plan.left_out)
    for number in range(plan.runs):
        sys.stderr.write(f"cluster, run {number + 1} of {plan.runs}\n")
        with (
            redis_cluster(cluster_node_timeout=NODE_TIMEOUT) as cluster,
            _systems(cluster) as systems,
        ):
            report.add(_measure(cluster, systems, load, report))
    return report


def _measure(
    cluster: RedisCluster, systems: list[System], load: Load, report: Report
) -> dict[str, float]:
    watched, victim = Watched(), cluster.master(HIT)
    with ThreadPoolExecutor(max_workers=1) as pool:
        publishing = pool.submit(systems[0].publish, load, cluster.url(SPARED))
        _watch(cluster, publishing, watched, load.seconds / 3)
        cluster.kill(victim)
        systems[0].kill("bridge")
        systems[0].kill("writer")
        _serve(cluster, systems, 0, "writer")  # as a supervisor does it: under its name
        killed_at = time.monotonic()
        wait_until(lambda: watched.look(cluster) != victim, "the replica is the master")
        promoted = time.monotonic() - killed_at
        _watch(cluster, publishing, watched, load.seconds / 3 - promoted)
        cluster.start(victim)
        _serve(cluster, systems, 0, "bridge")
        _watch(cluster, publishing, watched, load.seconds)
        sent = publishing.result()
    behind = _settle(cluster)
    for each in systems[:BRIDGES]:
        each.end("bridge")  # what it has to say of a gap it says by then
    report.miss("in the table", *judged(systems[0], load.count))
    bridges = systems[:BRIDGES]
    said = [line["seconds"] for each in bridges for line in each.said("bridge", "bridge.gap")]
    if said:
        report.miss("of bridges", f"{len(said)} gaps, of {sum(said):.2f} s")
    return {
        "messages/s": sent["rate"],
        "messages": sent["published"],
        "replica promoted, s after the kill": promoted,
        "nothing appended to its stream, s at most": watched.stood[HIT],
        "to another one": max(watched.stood[each] for each in STREAMS if each != HIT),
        "all stored, s later": behind,
    }


def _watch(
    cluster: RedisCluster, until: "Future[dict[str, float]]", watched: Watched, seconds: float
) -> None:
    """For so long, or until all is published."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not until.done():
        watched.look(cluster)
        time.sleep(LOOK_EVERY)


@contextmanager
def _systems(cluster: RedisCluster) -> Iterator[list[System]]:
    """One has the servers, and one of each service; the others have a bridge and a writer more."""
    with ExitStack() as stack:
        first = stack.enter_context(System("cluster", "postgres", "centrifugo"))
        more = [stack.enter_context(System(f"cluster-{n}")) for n in range(2, WRITERS + 1)]
        systems = [first, *more]
        for number in range(BRIDGES):
            _serve(cluster, systems, number, "bridge")
            event = "bridge.lined_up" if number else "lease.taken"
            wait_until(_said(systems[number], "bridge", event), f"{event} of each shard")
        for number in range(WRITERS):
            _serve(cluster, systems, number, "writer")
        _serve(cluster, systems, 0, "forwarder")
        for name in GROUPS:
            wait_until(_said(first, name, "service.started", 1), f"{name} runs")
        yield systems


def _said(system: System, name: str, event: str, times: int = SHARDS) -> Callable[[], bool]:
    return lambda: len(system.said(name, event)) >= times


def _serve(cluster: RedisCluster, systems: list[System], number: int, service: str) -> None:
    own: dict[str, Any] = {"SHARDS": SHARDS, "CONSUMER": f"{service}-{number}"}
    if service == "writer":
        own["POSTGRES_DSN"] = systems[0].database.dsn("writer")
    systems[number].serve(service, **own | cluster.settings(service))


def _settle(cluster: RedisCluster) -> float:
    """Seconds until each stream has a bridge, and each group is done with it."""
    began = time.monotonic()
    for stream in STREAMS:
        wait_until(partial(_is_led, cluster, stream), f"a bridge leads {stream}")
    wait_until(lambda: all(map(_is_done(cluster), STREAMS)), "all is stored and shown")
    return time.monotonic() - began


def _is_led(cluster: RedisCluster, stream: str) -> bool:
    return bool(cluster.ask(cluster.master(stream), "EXISTS", f"{stream}:lease"))


def _is_done(cluster: RedisCluster) -> Callable[[str], bool]:
    def done(stream: str) -> bool:
        found = cluster.ask(cluster.master(stream), "XINFO", "GROUPS", stream)
        groups = [dict(zip(each[::2], each[1::2], strict=True)) for each in found]
        return len(groups) == len(GROUPS) and all(
            each["lag"] == 0 and each["pending"] == 0 for each in groups
        )

    return done
