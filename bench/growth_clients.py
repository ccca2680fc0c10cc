"""Growth: the same rate for 1, 10 and 100 browsers, through the whole path"""

import sys

from bench.backlog import STOCKS
from bench.chart import draw
from bench.load import Load
from bench.numbers import said
from bench.path import pass_through, start
from bench.plan import Plan
from bench.report import Report
from bench.system import System
from local.instance import LOOPBACK

SIZES = (1, 10, 100)
RATE, SECONDS = 1_000, 10.0  # 100 clients have up to a thousand messages a second each
CROWD = "bench.crowd"
COST, LATENCY = "(centrifugo|nginx|forwarder), µs a message", "in the browser, ms: (p50|p99)"


def run(plan: Plan) -> Report:
    """Each size once, on a system of its own; one client looks at what comes, the others count."""
    report = Report(grows="clients")
    for clients in plan.sizes or SIZES:
        sys.stderr.write(f"{clients:,} clients\n")
        load = Load(plan.rate or RATE, plan.seconds or SECONDS, STOCKS, left_out=plan.left_out)
        with System("growth", "redis", "postgres", "centrifugo", "nginx") as system:
            start(system, load)
            if others := clients - 1:
                gather(system, others)
            passed = pass_through(system, load, report)
            if others:
                report.miss("in the crowd", *scattered(system, load.count - passed.skipped))
        nobody = dict.fromkeys(("crowd, µs a message", "crowd, % of a core"), 0.0)
        report.add({"clients": clients} | nobody | passed.figures | {"not shown": passed.skipped})
    report.charts["growth-clients.svg"] = draw(
        report.panel("CPU of each process, for all clients", "µs a message", COST),
        report.panel("From the bridge's receipt to a browser", "ms", LATENCY),
    )
    return report


def gather(system: System, clients: int) -> None:
    """As browsers: by way of nginx."""
    url = f"ws://{LOOPBACK}:{system.instance.http_port}"
    system.serve(CROWD, clients, FEED_URL=url)
    system.wait_for(CROWD, "ready")


def scattered(system: System, count: int) -> list[str]:
    """What is wrong with what the crowd got, in words, if each was to get so many ticks."""
    system.end(CROWD)
    (found,) = system.said(CROWD, "counted")
    closed = f"{found['closed']} closed"
    wrong = said(max(0, count - found["least"]), max(0, found["most"] - count), 0)
    return [*wrong, closed] if found["closed"] else wrong
