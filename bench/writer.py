"""Writer: how fast it stores a backlog, against plain COPY of the same rows"""

import sys

import asyncpg

from bench.backlog import drain, fill, load_of
from bench.candles import SWITCH
from bench.numbers import said
from bench.plan import Plan
from bench.report import Report
from bench.system import System

# All that was published is there once, and the running number follows the stream's order. A stock
# at a time, in the order of the index: a sort of all of them would fill a disk.
JUDGE = """
SELECT coalesce(sum(rows), 0)::bigint AS rows, coalesce(sum(numbers), 0)::bigint AS numbers,
       coalesce(sum(late), 0)::bigint AS late
FROM (SELECT DISTINCT stock_name FROM stock_prices) AS stocks CROSS JOIN LATERAL (
    SELECT count(*) AS rows, count(DISTINCT price) AS numbers,
           count(*) FILTER (WHERE price < before) AS late
    FROM (SELECT price, lag(price) OVER (ORDER BY event_id) AS before
          FROM stock_prices WHERE stock_name = stocks.stock_name) AS stored
) AS of_one
"""
EMPTY = "TRUNCATE stock_prices, candles"


def run(plan: Plan) -> Report:
    """With a flush's settings as in production; each limit right after it, on the same rows."""
    report = Report()
    with System("writer", "redis", "postgres") as system:
        load = load_of(_whole(system, plan.entries), plan.left_out)
        fill(system, load)
        for number in range(plan.runs):
            sys.stderr.write(f"writer, run {number + 1} of {plan.runs}\n")
            system.database.ask(EMPTY)
            done = drain(system, "writer", load.count)
            report.miss("in the table", *judged(system, load.count))
            copy = done.progress["flush_rows"]["sum"] / done.progress["copy_seconds"]["sum"]
            own = {"whole loop, rows/s": done.figures.pop("messages/s")} | done.figures
            report.add(own | {"its COPY, rows/s": copy})
            plain = _copied(system, candles=True)
            report.add({"its COPY, of plain COPY's rate": copy / plain["plain COPY, rows/s"]})
            report.add(plain | _copied(system, candles=False))
    return report


def _whole(system: System, entries: int) -> int:
    """Whole batches: what is left of one would wait for its five seconds, and be measured."""
    rows = int(system.instance.environment()["BATCH_ROWS"])
    return max(entries - entries % rows, min(entries, rows))


def judged(system: System, count: int) -> list[str]:
    """What is wrong with the table, in words."""
    return verdict(system.database.ask(JUDGE)[0], count)


def verdict(found: asyncpg.Record, count: int) -> list[str]:
    """Of what JUDGE found, if so many messages were published."""
    return said(count - found["numbers"], found["rows"] - found["numbers"], found["late"])


def _copied(system: System, *, candles: bool) -> dict[str, float]:
    system.database.ask(EMPTY)
    system.database.ask(SWITCH[candles])
    before = system.cpu()["postgres"]
    system.serve("bench.copying", POSTGRES_DSN=system.database.dsn("writer"))
    system.wait_for("bench.copying", "copied")
    (done,) = system.said("bench.copying", "copied")
    used = system.cpu()["postgres"] - before
    system.end("bench.copying")
    system.database.ask(SWITCH[True])
    name = "plain COPY" if candles else "plain COPY without candles"
    return {
        f"{name}, rows/s": done["rows"] / done["seconds"],
        f"{name}: client, µs a row": done["cpu_seconds"] / done["rows"] * 1e6,
        f"{name}: postgres, µs a row": used / done["rows"] * 1e6,
    }
