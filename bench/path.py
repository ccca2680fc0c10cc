"""Where time goes: from the receipt of a tick to the stream, to a browser, to a committed row"""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Mapping

import orjson

from bench import cpu
from bench.plan import Plan
from bench.probes import Ages, watch_feed, watch_stream, watch_table

PROBES = {"in the stream": watch_stream, "in the browser": watch_feed, "committed": watch_table}
STOCKS = 6
COMMIT_LIMIT = 30.0  # a flush interval, and a writer that is behind
LOOK_EVERY = 0.1
PERCENTILES = (50, 95, 99)


async def run(plan: Plan) -> str:
    """Put a load on the system and watch it at three places; Markdown."""
    ages: dict[str, Ages] = {name: [] for name in PROBES}
    watching = [
        asyncio.ensure_future(probe(plan.target, ages[name])) for name, probe in PROBES.items()
    ]
    before = cpu.seconds(plan.target)
    report = await _load(plan)
    await _settle(ages["committed"], int(report["published"]) // STOCKS)
    after = cpu.seconds(plan.target)
    for task in watching:
        task.cancel()
    faults = await asyncio.gather(*watching, return_exceptions=True)
    for fault in faults:
        if isinstance(fault, Exception):
            raise fault
    rates = f"{report['rate']:,.0f} a second, asked for {plan.rate:,.0f}"
    summary = f"{report['published']:,.0f} messages in {report['seconds']:.1f} s ({rates})"
    tables = [*_ages_table(ages), "", *_cpu_table(before, after, report["published"])]
    return "\n".join([summary, "", *tables])


async def _load(plan: Plan) -> Mapping[str, float]:
    """In a process of its own, so that it and the probes don't wait for each other."""
    options = {"rate": plan.rate, "seconds": plan.seconds, "stocks": STOCKS}
    line = [f"--{name}={value}" for name, value in options.items()]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.load",
        *line,
        f"--redis-url={plan.target.redis_url}",
        stdout=PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError("the load generator failed; its own words are above")
    report: Mapping[str, float] = orjson.loads(output)
    return report


async def _settle(committed: Ages, rows: int) -> None:
    """Wait for the last flush."""
    deadline = time.monotonic() + COMMIT_LIMIT
    while len(committed) < rows:
        if time.monotonic() > deadline:
            sys.stderr.write(f"only {len(committed):,} of {rows:,} rows were committed in time\n")
            return
        await asyncio.sleep(LOOK_EVERY)


def _ages_table(ages: Mapping[str, Ages]) -> list[str]:
    heads = [f"p{percentile}" for percentile in PERCENTILES]
    lines = [
        f"| from receipt, ms | {' | '.join(heads)} | max | ticks seen |",
        f"|---|{'---:|' * (len(heads) + 2)}",
    ]
    for name, values in ages.items():
        ordered = sorted(values)
        cells = [f"{_percentile(ordered, each):.1f}" for each in (*PERCENTILES, 100)]
        lines.append(f"| {name} | {' | '.join(cells)} | {len(ordered):,} |")
    return lines


def _percentile(ordered: Ages, percentile: int) -> float:
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, len(ordered) * percentile // 100)]


def _cpu_table(
    before: Mapping[str, float], after: Mapping[str, float], messages: float
) -> list[str]:
    if not before:
        return ["CPU: not measured, the system isn't run by `python3 -m local` on this port"]
    lines = ["| process | CPU s | µs a message |", "|---|---:|---:|"]
    for name, seconds in after.items():
        used = seconds - before.get(name, 0.0)
        lines.append(f"| {name} | {used:.2f} | {used / messages * 1e6:.1f} |")
    return lines
