"""Backlog: a stream that is full before its reader starts, and what the reader takes for it."""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from bench.load import Load
from bench.system import System, wait_until
from pipeline.stream import Entry

RATE = 100_000  # messages a second by which it is filled
STOCKS = 600
LIMIT = 300.0
LOOK_EVERY = 0.005
QUIET = 2.0  # seconds without another entry: no more are coming


@dataclass(frozen=True)
class Drained:
    """From the group's first look at the stream to its last acknowledgement."""

    seconds: float
    figures: dict[str, float]  # the rate, µs of each process a message, MB
    progress: Mapping[str, Any]  # the reader's last word


def load_of(entries: int, left_out: int | None) -> Load:
    rate = min(RATE, entries)
    return Load(rate, entries / rate, STOCKS, left_out=left_out)


def fill(system: System, load: Load) -> None:
    """By a bridge, so that it is what production has."""
    sys.stderr.write(f"filling: {load.count:,} entries\n")
    system.serve("bridge")
    system.wait_for("bridge", "lease.taken")
    settle(system, system.publish(load)["published"])
    system.end("bridge")


def drain(system: System, service: str, count: int, **settings: object) -> Drained:
    """Have it read all there is, from the beginning."""
    with client(system) as asked:
        asked.xgroup_destroy("ticks", service)
        system.serve(service, **settings)
        wait_until(lambda: asked.xinfo_groups("ticks"), f"{service} is there")
        began, before = time.monotonic(), system.cpu()
        wait_until(lambda: is_done(asked, service), f"{service} has had all", LIMIT)
        seconds, after = time.monotonic() - began, system.cpu()
    figures = {"messages/s": count / seconds}
    figures |= {
        f"{name}, µs a message": (after[name] - before[name]) / count * 1e6 for name in after
    }
    figures[f"{service}, MB at most"] = system.peak_mb(service)
    system.end(service)
    return Drained(seconds, figures, system.said(service, "progress")[-1])


def entries(redis_url: str, count: int = 10_000) -> Iterator[list[Entry]]:
    """The whole stream, in pieces of `count`; not as redis-py would parse it, which is slow."""
    with redis.Redis.from_url(redis_url, protocol=2) as asked:
        connection: Any = asked.connection_pool.get_connection()
        after = b"-"
        while True:
            connection.send_command("XRANGE", "ticks", after, "+", "COUNT", count)
            found = [(entry_id, f[1], f[3]) for entry_id, f in connection.read_response()]
            if not found:
                return
            yield found
            after = b"(" + found[-1][0]


def is_done(asked: redis.Redis, *services: str) -> bool:
    """Whether each group has been given all, and has acknowledged it."""
    groups = (
        {each["name"].decode(): each for each in asked.xinfo_groups("ticks")} if services else {}
    )
    found = [groups.get(service) for service in services]
    return all(each and each["lag"] == 0 and each["pending"] == 0 for each in found)


def settle(system: System, count: float, *services: str) -> float:
    """Seconds until all is in the stream, or no more is coming, and each group is done with it."""
    began = grown_at = time.monotonic()
    added = 0
    with client(system) as asked:
        while True:
            now = time.monotonic()
            if (total := _added(asked)) > added:
                added, grown_at = total, now
            over = added >= count or now > grown_at + QUIET
            if over and is_done(asked, *services):
                return now - began
            if now > grown_at + LIMIT:
                raise TimeoutError(f"{' and '.join(services)}: not done after {LIMIT:g} s")
            time.sleep(LOOK_EVERY)


def _added(asked: redis.Redis) -> int:
    """How many entries were ever appended, trimmed ones too."""
    try:
        return int(asked.xinfo_stream("ticks")["entries-added"])
    except redis.ResponseError:  # there is none yet
        return 0


def client(system: System) -> redis.Redis:
    """With the operator's rights."""
    return redis.Redis.from_url(system.instance.redis_url("operator"), protocol=2)
