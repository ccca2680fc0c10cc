"""The whole path, the api asked 50 times a second: the highest rate that all of it sustains"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.backlog import STOCKS, client, settle
from bench.bridge import LATEST, STATS, admitted, latencies
from bench.forwarder import close_browser, open_browser, watched
from bench.load import Load
from bench.plan import Plan
from bench.report import Report
from bench.steps import Step, highest
from bench.system import System
from bench.writer import EMPTY, judged

THOUSANDS = (20, 25, 30, 40, 50, 58, 65, 72, 80, 90, 100, 110, 120, 140)  # messages a second
RATES = tuple(1_000 * each for each in THOUSANDS)
SECONDS = 10.0
ASKING, ASKED_A_SECOND = "bench.asking", 50
SERVICES = ("api", "bridge", "forwarder", "writer")
GROUPS = ("forwarder", "writer")
CAUGHT_UP_IN = 8.0  # seconds: the writer's flush interval, and what a flush may take


def run(plan: Plan) -> Report:
    """On a system of its own for each run."""
    report, near = Report(), 0
    rates = (plan.rate,) if plan.rate else RATES
    for number in range(plan.runs):
        sys.stderr.write(f"path, run {number + 1} of {plan.runs}\n")
        with System("path", "redis", "postgres", "centrifugo", "nginx") as system:
            best = highest(rates, partial(_step, system, plan, report), near)
        near = best.sustained
        report.add({"sustained, messages/s": best.sustained} | best.figures)
    return report


@dataclass(frozen=True)
class Passed:
    """What became of a load; what is wrong with it in silence is in the report."""

    figures: dict[str, float]
    sent: dict[str, float]  # as bench.load says it
    behind: float  # seconds from the last message to the last acknowledgement
    skipped: int  # not shown, on purpose
    is_complete: bool


def _step(system: System, plan: Plan, report: Report, rate: int) -> Step:
    load = Load(rate, plan.seconds or SECONDS, STOCKS, left_out=plan.left_out)
    start(system, load)
    passed = pass_through(system, load, report)
    late = passed.sent["seconds"] > load.seconds + LATEST or passed.behind > CAUGHT_UP_IN
    sustained = passed.is_complete and not late and not passed.skipped
    return Step(rate, sustained, passed.figures)


def pass_through(system: System, load: Load, report: Report) -> Passed:
    """By services that were started for it; they have ended when this returns."""
    before = system.cpu()
    sent = system.publish(load)
    during = system.cpu()
    behind = settle(system, sent["published"], *GROUPS)
    figures = costs(before, system.cpu(), sent["cpu_seconds"], load.count)
    figures |= _shares(before, during, sent)
    figures |= {f"{name}, MB at most": system.peak_mb(name) for name in (*SERVICES, "redis")}
    found = close_browser(system)
    asking, told = stop(system)
    figures |= _latencies(told, found, asking)
    lost, wrong = admitted(told["bridge"]), judged(system, load.count)
    if not lost:
        report.miss(f"in the table at {load.rate:,}/s", *wrong)
        watched(report, found)
    sys.stderr.write(
        f"  at {load.rate:,}/s: published {sent['rate']:,.0f}/s, all stored {behind:.1f} s later,"
        f" {found['skipped']:,} not shown,"
        f" api {asking['rate']:.0f}/s {asking['statuses']}\n"
    )
    return Passed(figures, sent, behind, found["skipped"], not (lost or wrong))


def start(system: System, load: Load) -> None:
    """All of it, and a browser."""
    serve(system)
    open_browser(system, load, system.instance.http_port)
    ask(system, load.stocks)


def serve(system: System) -> None:
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


def ask(system: System, stocks: int) -> None:
    system.serve(ASKING, stocks, ASKED_A_SECOND)
    system.wait_for(ASKING, "ready")


def stop(system: System) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """How the api answered, and what each service said of itself."""
    system.end(ASKING)
    (asking,) = system.said(ASKING, "asked")
    for service in SERVICES:
        system.end(service)
    return asking, {name: system.said(name, "progress") for name in SERVICES}


def _latencies(
    told: Mapping[str, list[dict[str, Any]]], found: dict[str, Any], asking: dict[str, Any]
) -> dict[str, float]:
    """Milliseconds from the bridge's receipt, and from the api's question."""
    places = {
        "in the stream": latencies(told["bridge"]),
        "in the browser": found["ages"],
        "in the table": latencies(told["writer"]),
        "api's answer": {stat: asking[stat] for stat in STATS if stat in asking},
    }
    return {f"{place}, ms: {k}": ms for place, stats in places.items() for k, ms in stats.items()}


def costs(
    before: Mapping[str, float], after: Mapping[str, float], generator: float, count: int
) -> dict[str, float]:
    """µs of each process a message, what was done after the last one was published too."""
    used = {name: after[name] - before[name] for name in after} | {"generator": generator}
    used["all of them"] = sum(used.values())
    return {f"{_short(name)}, µs a message": cpu / count * 1e6 for name, cpu in used.items()}


def _shares(
    before: Mapping[str, float], during: Mapping[str, float], sent: Mapping[str, float]
) -> dict[str, float]:
    """While it was published: whoever is near 100 is the bottleneck, or all of them together."""
    used = {name: during[name] - before[name] for name in during}
    used["generator"] = sent["cpu_seconds"]
    shares = {_short(name): cpu / sent["seconds"] * 100 for name, cpu in used.items()}
    busiest = max(shares, key=lambda name: shares[name])
    said = f"{busiest} {shares[busiest]:.0f} %, all {sum(shares.values()):.0f} %"
    sys.stderr.write(f"  of a core: {said}\n")
    return {f"{name}, % of a core": share for name, share in shares.items()}


def _short(name: str) -> str:
    return name.rpartition(".")[2]
