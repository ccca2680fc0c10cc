"""Forwarder: how fast it publishes a backlog, against prepared requests; and its latency"""

import sys
from typing import Any

from bench.backlog import STOCKS, client, drain, fill, load_of, settle
from bench.load import Load
from bench.numbers import said
from bench.plan import Plan
from bench.report import Report
from bench.system import System
from local.instance import LOOPBACK

BROWSER, POSTING = "bench.browser", "bench.posting"
MARKETS = {"10,000 messages/s": 10_000, "10 messages/s": 10}
SECONDS = {10_000: 10.0, 10: 20.0}


def run(plan: Plan) -> Report:
    """Never conflated; a browser follows all the time, and counts what it gets."""
    report = Report()
    load = load_of(plan.entries, plan.left_out)
    with System("forwarder", "redis", "centrifugo") as system:
        fill(system, load)
        for number in range(plan.runs):
            sys.stderr.write(f"forwarder, run {number + 1} of {plan.runs}\n")
            figures = _drained(system, load, report) | _posted(system)
            share = figures["messages/s"] / figures["prepared: ticks/s"]
            report.add(figures | {"of the prepared requests' rate": share})
        for number in range(plan.runs):
            sys.stderr.write(f"latency, run {number + 1} of {plan.runs}\n")
            for name, rate in MARKETS.items():
                load = Load(rate, plan.seconds or SECONDS[rate], STOCKS)
                ages = _latency(system, load, report)
                report.add({f"at {name}, ms to the browser: {k}": ms for k, ms in ages.items()})
    return report


def watched(report: Report, browser: dict[str, Any]) -> None:
    """What the browser found wrong; what was skipped on purpose isn't."""
    missing = max(0, browser["missing"] - browser["skipped"])
    report.miss("in the browser", *said(missing, browser["twice"], browser["late"]))


def open_browser(system: System, load: Load, port: int) -> None:
    url = f"ws://{LOOPBACK}:{port}"
    system.serve(BROWSER, load.count, load.stocks, FEED_URL=url)
    system.wait_for(BROWSER, "ready")


def close_browser(system: System) -> dict[str, Any]:
    """What it saw."""
    system.end(BROWSER)
    if closed := system.said(BROWSER, "closed"):
        raise ConnectionError(f"the feed closed the browser's connection: {closed[0]['code']}")
    (found,) = system.said(BROWSER, "seen")
    return found


def _drained(system: System, load: Load, report: Report) -> dict[str, float]:
    _fresh(system, load)
    done = drain(system, "forwarder", load.count, FORWARDER_MAX_LAG=0)
    watched(report, close_browser(system))
    figures = {name.replace(BROWSER, "browser"): value for name, value in done.figures.items()}
    publications = done.progress["publications"]
    return figures | {"ticks a publication": load.count / publications}


def _posted(system: System) -> dict[str, float]:
    """The limit: the same requests, one after the other, with nothing to do in between."""
    _fresh(system, Load(1, 1))
    before = system.cpu()["centrifugo"]
    system.serve(POSTING)
    system.wait_for(POSTING, "posted")
    (done,) = system.said(POSTING, "posted")
    used = system.cpu()["centrifugo"] - before
    system.end(POSTING)
    close_browser(system)
    return {
        "prepared: ticks/s": done["ticks"] / done["seconds"],
        "prepared: client, µs a tick": done["cpu_seconds"] / done["ticks"] * 1e6,
        "prepared: centrifugo, µs a tick": used / done["ticks"] * 1e6,
    }


def _fresh(system: System, load: Load) -> None:
    """A Centrifugo that has seen none of it: it drops repeats; and a browser."""
    system.end("centrifugo")
    system.start("centrifugo")
    open_browser(system, load, system.instance.centrifugo_port)


def _latency(system: System, load: Load, report: Report) -> dict[str, float]:
    """Milliseconds from the bridge's receipt; through bridge, stream and Centrifugo."""
    with client(system) as asked:
        asked.delete("ticks")
    _fresh(system, load)
    for service in ("bridge", "forwarder"):
        system.serve(service)
    system.wait_for("bridge", "lease.taken")
    system.wait_for("forwarder", "stream.group_created")
    settle(system, system.publish(load)["published"], "forwarder")
    found = close_browser(system)
    for service in ("forwarder", "bridge"):
        system.end(service)
    watched(report, found)
    ages: dict[str, float] = found["ages"]
    return ages
