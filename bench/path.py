"""path: everything on, the api asked 50 times a second; the highest rate that all of it sustains"""

import sys
import time
from dataclasses import dataclass
from typing import Any

from bench.backlog import LIMIT, STOCKS, client, is_through
from bench.bridge import LATEST, latencies
from bench.forwarder import close_browser, open_browser, watched
from bench.load import Load
from bench.plan import Plan
from bench.report import Report
from bench.system import System, wait_until
from bench.writer import EMPTY, judged

RATES = (20_000, 40_000, 60_000, 80_000, 100_000, 120_000, 140_000)
SECONDS = 10.0
ASKING, ASKED_A_SECOND = "bench.asking", 50
SERVICES = ("api", "bridge", "forwarder", "writer")
GROUPS = ("forwarder", "writer")
CAUGHT_UP_IN = 8.0  # seconds: the writer's flush interval, and what a flush may take


@dataclass(frozen=True)
class Step:
    """One rate, for some seconds."""

    sustained: float  # the rate, or 0
    figures: dict[str, float]


def run(plan: Plan) -> Report:
    """Steps up until one isn't sustained, on a system of its own for each run."""
    report = Report()
    rates = (plan.rate,) if plan.rate else RATES
    for number in range(plan.runs):
        sys.stderr.write(f"path, run {number + 1} of {plan.runs}\n")
        best = Step(0, {})
        with System("path", "redis", "postgres", "centrifugo", "nginx") as system:
            for rate in rates:
                load = Load(rate, plan.seconds or SECONDS, STOCKS, left_out=plan.left_out)
                step = _step(system, load, report)
                best = best if best.sustained > step.sustained else step
                if not step.sustained:
                    break
        report.add({"sustained, messages/s": best.sustained} | best.figures)
    return report


def _step(system: System, load: Load, report: Report) -> Step:
    _start(system, load)
    with client(system) as asked:
        before, began = system.cpu(), time.monotonic()
        sent = system.publish(load)
        ended = time.monotonic()
        count = sent["published"]
        wait_until(lambda: is_through(asked, count, *GROUPS), "all is stored", LIMIT)
        behind, seconds = time.monotonic() - ended, time.monotonic() - began
        after = system.cpu()
    figures = _costs(before, after, sent, load.count, seconds)
    figures |= {f"{name}, MB at most": system.peak_mb(name) for name in (*SERVICES, "redis")}
    found, asking = _stop(system)
    told = {name: system.said(name, "progress") for name in SERVICES}
    dropped = told["bridge"][-1]["dropped"]
    wrong = judged(system, load.count) if not dropped else []
    report.miss(f"in the table at {load.rate:,}/s", *wrong)
    if not dropped:
        watched(report, found)
    figures |= {f"in the browser, ms: {k}": ms for k, ms in found["ages"].items()}
    figures |= {f"in the stream, ms: {k}": ms for k, ms in latencies(told["bridge"]).items()}
    figures |= {f"in the table, ms: {k}": ms for k, ms in latencies(told["writer"]).items()}
    figures |= {f"api, ms: {k}": asking[k] for k in ("p50", "p95", "p99", "max")}
    on_time = sent["seconds"] < load.seconds + LATEST
    sustained = on_time and behind < CAUGHT_UP_IN and not (dropped or found["skipped"] or wrong)
    sys.stderr.write(
        f"  at {load.rate:,}/s: published {sent['rate']:,.0f}/s, all stored {behind:.1f} s later,"
        f" {found['skipped']:,} not shown, {dropped:,} dropped,"
        f" api {asking['rate']:.0f}/s {asking['statuses']}\n"
    )
    return Step(load.rate if sustained else 0, figures)


def _start(system: System, load: Load) -> None:
    """On an empty stream and an empty table."""
    system.database.ask(EMPTY)
    with client(system) as asked:
        asked.flushall()
    for service in SERVICES:
        system.serve(service)
    system.wait_for("bridge", "lease.taken")
    for group in GROUPS:
        system.wait_for(group, "stream.group_created")
    system.wait_well("api")
    open_browser(system, load, system.instance.http_port)
    system.serve(ASKING, load.stocks, ASKED_A_SECOND)
    system.wait_for(ASKING, "ready")


def _stop(system: System) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the browser saw, and how the api answered."""
    found = close_browser(system)
    system.end(ASKING)
    (asking,) = system.said(ASKING, "asked")
    for service in SERVICES:
        system.end(service)
    return found, asking


def _costs(
    before: dict[str, float],
    after: dict[str, float],
    sent: dict[str, float],
    count: int,
    seconds: float,
) -> dict[str, float]:
    """µs of each process a message, and which one was the busiest."""
    used = {name: after[name] - before[name] for name in after}
    used = {name.rpartition(".")[2]: cpu for name, cpu in used.items()}
    used["generator"] = sent["cpu_seconds"]
    busiest = max(used, key=lambda name: used[name])
    sys.stderr.write(f"  busiest: {busiest}, {used[busiest] / seconds:.0%} of a core\n")
    figures = {f"{name}, µs a message": cpu / count * 1e6 for name, cpu in used.items()}
    figures["all of them, µs a message"] = sum(used.values()) / count * 1e6
    figures |= {f"{name}, % of a core": cpu / seconds * 100 for name, cpu in used.items()}
    return figures
