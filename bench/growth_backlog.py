"""Growth: a backlog of up to five million entries, until both groups have caught up"""

import sys
import time
from contextlib import suppress

import redis

from bench.backlog import LIMIT, LOOK_EVERY, client, fill, is_done, load_of
from bench.chart import draw
from bench.path import GROUPS
from bench.plan import Plan
from bench.report import Report
from bench.system import System
from bench.writer import judged

SIZES = (0, 100_000, 1_000_000, 5_000_000)


def run(plan: Plan) -> Report:
    """Each size once, on a system of its own; as after an outage of both, all settings their own.

    The feed shows no backlog, but its end; so completeness is judged by the table.
    """
    report = Report(grows="entries")
    for entries in plan.sizes or SIZES:
        with System("growth", "redis", "postgres", "centrifugo") as system:
            load = load_of(max(1, entries), plan.left_out)
            if entries:
                fill(system, load)
            with client(system) as asked:
                used = asked.info("memory")["used_memory"] / (1 << 20)
                seconds = _caught_up(system, asked)
            figures = {f"{group}, s until it has caught up": seconds[group] for group in GROUPS}
            figures |= {f"{name}, MB at most": system.peak_mb(name) for name in (*GROUPS, "redis")}
            for group in GROUPS:
                system.end(group)
            report.miss(
                f"in the table, of {entries:,}", *judged(system, load.count if entries else 0)
            )
        report.add({"entries": entries} | figures | {"redis, MB in use before": used})
    report.charts["growth-backlog.svg"] = draw(
        report.panel("From the start of a group's process", "s", "(.*), s until it has caught up"),
        report.panel("Memory", "MB", "(.*, MB at most|redis, MB in use before)"),
    )
    return report


def _caught_up(system: System, asked: redis.Redis) -> dict[str, float]:
    """Seconds of each group, from its process's start; both at once."""
    began = time.monotonic()
    for group in GROUPS:
        system.serve(group)
    found: dict[str, float] = {}
    while len(found) < len(GROUPS):
        for group in GROUPS:
            if group not in found and _has_all(asked, group):
                found[group] = time.monotonic() - began
                sys.stderr.write(f"  {group} has caught up after {found[group]:.1f} s\n")
        if time.monotonic() > began + LIMIT:
            raise TimeoutError(f"not caught up after {LIMIT:g} s: only {list(found)}")
        time.sleep(LOOK_EVERY)
    return found


def _has_all(asked: redis.Redis, group: str) -> bool:
    with suppress(redis.ResponseError):  # the group makes the stream where there is none
        return is_done(asked, group)
    return False
