"""bridge: published messages a second into the stream, against a raw loop and plain XADD"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import hiredis
import redis

from bench.load import Load, number_of
from bench.numbers import Numbers, said
from bench.plan import Plan
from bench.report import Report
from bench.system import System

RATES = (20_000, 40_000, 80_000, 120_000, 160_000, 200_000, 240_000, 280_000, 320_000)
SECONDS = 5.0
STOCKS = 600
LATEST = 0.25  # seconds after the last message was due: if all isn't in the stream, a lag grows
QUIET = 1.0  # seconds without another entry: no more are coming
LOOK_EVERY = 0.005
READ_COUNT = 10_000
PIPELINE, PIPELINE_SECONDS = 500, 3.0
READ_SIZE = 1 << 16
BRIDGE, RAW = "bridge", "bench.raw_bridge"
READY = {BRIDGE: "lease.taken", RAW: "ready"}
STATS = ("p50", "p95", "p99", "max")


@dataclass(frozen=True)
class Step:
    """One rate, for some seconds."""

    rate: int
    sustained: int  # the rate, or 0
    figures: dict[str, float]


def run(plan: Plan) -> Report:
    """On a Redis of its own for each rate."""
    report = Report()
    for number in range(plan.runs):
        sys.stderr.write(f"bridge, run {number + 1} of {plan.runs}\n")
        rates = (plan.rate,) if plan.rate else RATES
        best = _highest(BRIDGE, rates, plan, report)
        raw_rates = [rate for rate in rates if rate >= best.rate]
        at_same = _highest(RAW, raw_rates[:1], plan, report)
        highest = _highest(RAW, raw_rates[1:], plan, report) if raw_rates[1:] else at_same
        raw = {
            "raw loop: µs a message": at_same.figures[f"{RAW}, µs a message"],
            "raw loop: redis, µs a message": at_same.figures["redis, µs a message"],
            "raw loop: sustained, messages/s": max(at_same.sustained, highest.sustained),
        }
        report.add({"sustained, messages/s": best.sustained} | best.figures | raw | _pipelined())
    return report


def _highest(module: str, rates: Sequence[int], plan: Plan, report: Report) -> Step:
    """The last rate before the first that isn't sustained; or that first one, if none was."""
    best = None
    for rate in rates:
        load = Load(rate, plan.seconds or SECONDS, STOCKS, left_out=plan.left_out)
        step = _step(module, load, report)
        if not step.sustained:
            return best or step
        best = step
    assert best  # noqa: S101  # there is a rate at least
    return best


def _step(module: str, load: Load, report: Report) -> Step:
    with System("bridge", "redis") as system, _client(system) as client:
        system.serve(module)
        system.wait_for(module, READY[module])
        before = system.cpu()
        sent = system.publish(load)
        seconds = _settle(client, load.count)
        after = system.cpu()
        peaks = {f"{name}, MB at most": system.peak_mb(name) for name in (module, "redis")}
        system.end(module)
        numbers = Numbers()
        for messages in _messages(client):
            numbers.see(messages)
        progress = system.said(module, "progress")
    missing = numbers.missing(load.count, load.stocks)
    wrong = said(missing, numbers.twice, numbers.late)
    on_time = sent["seconds"] + seconds < load.seconds + LATEST
    sys.stderr.write(
        f"  {module} at {load.rate:,}/s: published {sent['rate']:,.0f}/s, all appended"
        f" {seconds:.2f} s later{', ' if wrong else ''}{', '.join(wrong)}\n"
    )
    told = bool(progress and (progress[-1]["dropped"] or progress[-1]["gaps"]))
    if module == BRIDGE and not told:
        report.miss(f"in the stream at {load.rate:,}/s", *wrong)
    costs = {name: (after[name] - before[name]) / load.count * 1e6 for name in after}
    costs["generator"] = sent["cpu_seconds"] / load.count * 1e6
    figures = {f"{name}, µs a message": cost for name, cost in costs.items()} | peaks
    figures |= {f"in the stream, ms: {stat}": ms for stat, ms in latencies(progress).items()}
    rate = int(load.rate)
    return Step(rate, rate if on_time and not wrong else 0, figures)


def latencies(progress: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Milliseconds from the bridge's receipt to a service's effect: of its worst report."""
    ages = [line["age_seconds"] for line in progress if line["age_seconds"]["p50"] is not None]
    return {stat: max(age[stat] for age in ages) * 1000 for stat in STATS} if ages else {}


def _settle(client: redis.Redis, count: int) -> float:
    """Seconds until all is in the stream, or no more is coming."""
    began = grown_at = time.monotonic()
    length = 0
    while length < count and time.monotonic() < grown_at + QUIET:
        if (now := client.xlen("ticks")) > length:
            length, grown_at = now, time.monotonic()
        time.sleep(LOOK_EVERY)
    return grown_at - began


def _messages(client: redis.Redis) -> Iterator[list[tuple[str, int]]]:
    """Stock and number of each entry, from the stream's beginning."""
    after = b"-"
    while entries := cast("list[Any]", client.xrange("ticks", min=after, count=READ_COUNT)):
        messages = [fields[b"message"].decode().split(":") for _, fields in entries]
        yield [(stock, number_of(float(price))) for stock, price in messages]
        after = b"(" + entries[-1][0]


def _pipelined() -> dict[str, float]:
    """What Redis takes of one connection that always has 500 commands on the way."""
    words = ("XADD", "ticks", "*", "channel", "NYSE", "message", "LOAD123:1234567.25")
    block = hiredis.pack_command(words) * PIPELINE  # type: ignore[arg-type]  # its stub says one word
    with System("bridge", "redis") as system, _client(system) as client:
        connection = client.connection_pool.get_connection()  # it has logged in
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


def _client(system: System) -> redis.Redis:
    return redis.Redis.from_url(system.instance.redis_url("operator"), protocol=2)
