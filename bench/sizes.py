"""Sizes: bytes that a message takes in Redis and its log, in the table and its log, on the way"""

import sys
from typing import Any

import redis

from bench.backlog import STOCKS, client, fill, settle
from bench.forwarder import close_browser, open_browser, watched
from bench.load import Load
from bench.path import GROUPS
from bench.plan import Plan
from bench.report import Report
from bench.system import System
from bench.writer import judged

# About what a shard of the plan carries. No longer: at 64 MB Redis rewrites its log, whose size
# then says nothing.
RATE, SECONDS = 30_000, 3.0
TABLE = """
SELECT sum(pg_table_size(relid)) AS rows, sum(pg_indexes_size(relid)) AS index,
       pg_current_wal_insert_lsn() - '0/0' AS log
FROM pg_partition_tree('stock_prices') WHERE isleaf
"""
READ = {"redis, bytes to both groups": "out", "redis's log, bytes read by both": "log"}


def run(plan: Plan) -> Report:
    """First it is appended, then both groups read it, each on a system of its own for each run."""
    report = Report()
    load = Load(plan.rate or RATE, plan.seconds or SECONDS, STOCKS, left_out=plan.left_out)
    for number in range(plan.runs):
        sys.stderr.write(f"sizes, run {number + 1} of {plan.runs}\n")
        with System("sizes", "redis", "postgres", "centrifugo") as system, client(system) as asked:
            figures = _appended(system, asked, load) | _read(system, asked, load, report)
        report.add({name: total / load.count for name, total in figures.items()})
    return report


def _appended(system: System, asked: redis.Redis, load: Load) -> dict[str, float]:
    before = _counted(asked)
    fill(system, load)
    after = _counted(asked)
    ask: Any = asked  # its types don't say what is answered
    return {
        "redis, bytes kept": ask.memory_usage("ticks", samples=0),
        "redis, bytes published and appended": after["in"] - before["in"],
        "redis, bytes to the bridge": after["out"] - before["out"],
        "redis's log, bytes appended": after["log"] - before["log"],
    }


def _read(system: System, asked: redis.Redis, load: Load, report: Report) -> dict[str, float]:
    open_browser(system, load, system.instance.centrifugo_port)
    before, stored = _counted(asked), system.database.ask(TABLE)[0]
    system.serve("forwarder", FORWARDER_MAX_LAG=0)
    system.serve("writer")
    settle(system, load.count, *GROUPS)
    after, now = _counted(asked), system.database.ask(TABLE)[0]
    for group in GROUPS:
        system.end(group)
    found = close_browser(system)
    watched(report, found)
    report.miss("in the table", *judged(system, load.count))
    figures = {name: after[what] - before[what] for name, what in READ.items()}
    figures |= {
        "table, bytes a row": float(now["rows"] - stored["rows"]),
        "index, bytes a row": float(now["index"] - stored["index"]),
        "postgres's log, bytes a row": float(now["log"] - stored["log"]),
    }
    return figures | {"to a browser, bytes": found["bytes"]}


def _counted(asked: redis.Redis) -> dict[str, float]:
    """So far: bytes that came in, that went out, and that are in its log."""
    ask: Any = asked  # its types don't say what is answered
    found = ask.info("everything")
    names = {"in": "total_net_input_bytes", "out": "total_net_output_bytes"}
    counted = {name: found[field] for name, field in names.items()}
    return counted | {"log": found["aof_current_size"]}
