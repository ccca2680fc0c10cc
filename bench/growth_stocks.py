"""Growth: the same rate over 6, 600 and 60,000 stocks, through the whole path"""

import sys

from bench.chart import draw
from bench.load import Load
from bench.path import pass_through, start
from bench.plan import Plan
from bench.report import Report
from bench.system import System

SIZES = (6, 600, 60_000)
RATE, SECONDS = 10_000, 10.0
COST = "(bridge|forwarder|writer|redis|postgres|centrifugo|nginx|api), µs a message"


def run(plan: Plan) -> Report:
    """Each size once, on a system of its own."""
    report = Report(grows="stocks")
    for stocks in plan.sizes or SIZES:
        sys.stderr.write(f"{stocks:,} stocks\n")
        load = Load(plan.rate or RATE, plan.seconds or SECONDS, stocks, left_out=plan.left_out)
        with System("growth", "redis", "postgres", "centrifugo", "nginx") as system:
            start(system, load)
            passed = pass_through(system, load, report)
        report.add({"stocks": stocks} | passed.figures | {"not shown": passed.skipped})
    report.charts["growth-stocks.svg"] = draw(
        report.panel("CPU of each process", "µs a message", COST),
        report.panel("Memory of each process, at most", "MB", "(.*), MB at most"),
    )
    return report
