"""Bridge: what it appends a second without a loss, against a raw loop and plain XADD"""

import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import hiredis

from bench.backlog import STOCKS, client, entries, settle
from bench.load import Load, number_of
from bench.numbers import Numbers, said
from bench.plan import Plan
from bench.report import Report
from bench.steps import Step, highest
from bench.system import System
from pipeline.stream import Entry

# Steps of a tenth where the machine's limit may be, as the two rates are divided by each other.
THOUSANDS = (25, 50, 75, 100, 120, 140, 160, 180, 200, 220, 250, 275, 300, 330, 360, 400, 440, 480)
RATES = tuple(1_000 * each for each in THOUSANDS)
SECONDS = 5.0
LATEST = 0.25  # seconds after the last message was due: if all isn't in the stream, a lag grows
PIPELINE, PIPELINE_SECONDS = 500, 3.0
READ_SIZE = 1 << 16
BRIDGE, RAW = "bridge", "bench.raw_bridge"
READY = {BRIDGE: "lease.taken", RAW: "ready"}
STATS = ("p50", "p95", "p99", "max")


def run(plan: Plan) -> Report:
    """On a Redis of its own for each rate."""
    report, near = Report(), 0
    rates = (plan.rate,) if plan.rate else RATES
    for number in range(plan.runs):
        sys.stderr.write(f"bridge, run {number + 1} of {plan.runs}\n")
        best = highest(rates, partial(_step, BRIDGE, plan, report), near)
        near = best.sustained
        at_same = _step(RAW, plan, report, best.rate)
        above = [rate for rate in rates if rate > best.rate]
        raw = highest(above, partial(_step, RAW, plan, report)) if above else at_same
        figures = {"sustained, messages/s": best.sustained} | best.figures
        figures["raw loop: µs a message"] = at_same.figures[f"{RAW}, µs a message"]
        figures["raw loop: redis, µs a message"] = at_same.figures["redis, µs a message"]
        raw_rate = max(at_same.sustained, raw.sustained)
        figures["raw loop: sustained, messages/s"] = raw_rate
        if 0 < raw_rate < RATES[-1]:  # else it isn't its highest
            figures["sustained, of the raw loop's rate"] = best.sustained / raw_rate
        report.add(figures | _pipelined())
    return report


def _step(module: str, plan: Plan, report: Report, rate: int) -> Step:
    load = Load(rate, plan.seconds or SECONDS, STOCKS, left_out=plan.left_out)
    with System("bridge", "redis") as system:
        system.serve(module)
        system.wait_for(module, READY[module])
        before = system.cpu()
        sent = system.publish(load)
        seconds = settle(system, load.count)
        after = system.cpu()
        peaks = {f"{name}, MB at most": system.peak_mb(name) for name in (module, "redis")}
        system.end(module)
        numbers = Numbers()
        for batch in entries(system.instance.redis_url("operator")):
            numbers.see(map(_tick, batch))
        progress = system.said(module, "progress")
    missing = numbers.missing(load.count, load.stocks)
    wrong = said(missing, numbers.twice, numbers.late)
    sys.stderr.write(
        f"  {module} at {rate:,}/s: published {sent['rate']:,.0f}/s, all appended"
        f" {seconds:.2f} s later{', ' if wrong else ''}{', '.join(wrong)}\n"
    )
    if module == BRIDGE and not admitted(progress):
        report.miss(f"in the stream at {rate:,}/s", *wrong)
    costs = {name: (after[name] - before[name]) / load.count * 1e6 for name in after}
    costs["generator"] = sent["cpu_seconds"] / load.count * 1e6
    figures = {f"{name}, µs a message": cost for name, cost in costs.items()} | peaks
    figures |= {f"in the stream, ms: {stat}": ms for stat, ms in latencies(progress).items()}
    on_time = sent["seconds"] + seconds < load.seconds + LATEST
    return Step(rate, on_time and not wrong, figures)


def _tick(entry: Entry) -> tuple[str, int]:
    stock, _, price = entry[2].decode().partition(":")
    return stock, number_of(float(price))


def admitted(progress: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the bridge says that it lost something: no loss in silence then."""
    return bool(progress[-1]["dropped"] or progress[-1]["gaps"])


def latencies(progress: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Milliseconds from the bridge's receipt to a service's effect: of its worst report."""
    ages = [line["age_seconds"] for line in progress if line["age_seconds"]["p50"] is not None]
    return {stat: max(age[stat] for age in ages) * 1000 for stat in STATS} if ages else {}


def _pipelined() -> dict[str, float]:
    """What Redis takes of one connection that always has 500 commands on the way."""
    words = ("XADD", "ticks", "*", "channel", "NYSE", "message", "LOAD123:1234567.25")
    block = hiredis.pack_command(words) * PIPELINE  # type: ignore[arg-type]  # its stub says one word
    with System("bridge", "redis") as system, client(system) as asked:
        connection = asked.connection_pool.get_connection()  # it has logged in
        began, before, sent, answered = time.monotonic(), system.cpu(), 0, 0
        reader = hiredis.Reader()
        while time.monotonic() < began + PIPELINE_SECONDS:
            connection.send_packed_command([block])
            sent += PIPELINE
            while answered < sent:
                reader.feed(connection._sock.recv(READ_SIZE))  # noqa: SLF001  # redis-py's own parser is ten times slower
                while reader.gets() is not False:
                    answered += 1
        seconds = time.monotonic() - began
        used = system.cpu()["redis"] - before["redis"]
    return {
        "XADD, 500 on the way: a second": sent / seconds,
        "XADD, 500 on the way: redis, µs each": used / sent * 1e6,
    }
