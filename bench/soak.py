"""Soak: half of the sustained rate for half an hour; whether memory and lag grow"""

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.request import urlopen

import orjson

from bench.backlog import STOCKS, client, settle
from bench.bridge import STATS, admitted
from bench.browser import quantiles
from bench.chart import Panel, Point, draw
from bench.growth_clients import gather, scattered
from bench.load import Load
from bench.path import GROUPS, SERVICES, ask, costs, serve, stop
from bench.plan import Plan
from bench.report import RECORD, Report
from bench.system import System
from bench.writer import judged

RATE, SECONDS = 20_000, 1800.0  # the rate, if none is recorded
SAMPLE_EVERY, LEAST_SAMPLES, TELL_EVERY = 5.0, 10, 30.0
ANSWER_LIMIT = 30.0
MINUTE = 60
OWN = ("crowd", "asking")  # processes of the bench


@dataclass
class Samples:
    """What was looked at every few seconds; (seconds since the beginning, value)."""

    own_mb: dict[str, list[Point]] = field(default_factory=dict)
    lags: dict[str, list[Point]] = field(default_factory=dict)  # entries, of each group
    api_ms: list[float] = field(default_factory=list)
    not_answered: int = 0


def run(plan: Plan) -> Report:
    """Once; what the clients of the feed see is counted, not kept, as a bench mustn't grow."""
    report, samples = Report(grows="minutes"), Samples()
    rate, seconds = plan.rate or _half_of_the_sustained(), plan.seconds or SECONDS
    load = Load(rate, seconds, STOCKS, left_out=plan.left_out)
    with System("soak", "redis", "postgres", "centrifugo", "nginx") as system:
        serve(system)
        gather(system, 1)
        ask(system, load.stocks)
        before = system.cpu()
        sent = _watched(system, load, samples)
        behind = settle(system, sent["published"], *GROUPS)
        used = costs(before, system.cpu(), sent["cpu_seconds"], load.count)
        peaks = {f"{name}, MB at most": system.peak_mb(name) for name in (*SERVICES, "redis")}
        judged_of = _judged(system, load, report)
    if samples.not_answered:
        report.miss("from the api", f"{samples.not_answered} of {len(samples.api_ms)} not answered")
    figures = {"minutes": seconds / MINUTE, "messages/s": sent["rate"]} | judged_of
    figures |= {"all stored, s later": behind} | _grown(samples) | used | peaks
    figures |= {f"all stocks, ms: {stat}": ms for stat, ms in quantiles(samples.api_ms).items()}
    report.add(figures)
    system_only = {name: line for name, line in samples.own_mb.items() if name not in OWN}
    report.charts["soak.svg"] = draw(
        _panel("Memory of each process's own", "MB", system_only),
        _panel("Lag of each group", "entries", samples.lags),
    )
    return report


def slope(samples: Sequence[Point]) -> float:
    """A minute, by least squares over the second half of the samples."""
    seconds, values = zip(*samples[len(samples) // 2 :], strict=True)
    return statistics.linear_regression(seconds, values).slope * MINUTE


def _half_of_the_sustained() -> int:
    """By what is recorded of the whole path."""
    record = orjson.loads(RECORD.read_bytes()) if RECORD.exists() else {}
    found = record.get("path", {}).get("figures", {}).get("sustained, messages/s", [])
    return int(statistics.median(found) / 2) if found else RATE


def _watched(system: System, load: Load, samples: Samples) -> dict[str, float]:
    """Publish it, and take samples all the while; what bench.load reports."""
    every = min(SAMPLE_EVERY, load.seconds / LEAST_SAMPLES)
    tell_at = TELL_EVERY
    with ThreadPoolExecutor(max_workers=1) as pool:
        published = pool.submit(system.publish, load)
        for at in _times(published, every):
            _take(system, at, samples)
            if at >= tell_at:
                tell_at += TELL_EVERY
                latest = {name: f"{line[-1][1]:.0f}" for name, line in samples.own_mb.items()}
                lags = {name: f"{line[-1][1]:,.0f}" for name, line in samples.lags.items()}
                sys.stderr.write(f"  {at:.0f} of {load.seconds:.0f} s: MB {latest}, lag {lags}\n")
    return published.result()


def _times(until: "Future[dict[str, float]]", every: float) -> Iterator[float]:
    """Seconds since the beginning, again and again."""
    began = time.monotonic()
    while not until.done():
        yield time.monotonic() - began
        time.sleep(every)


def _take(system: System, at: float, samples: Samples) -> None:
    for name, mb in system.own_mb().items():
        samples.own_mb.setdefault(name.rpartition(".")[2], []).append((at, mb))
    with client(system) as asked:
        for group in asked.xinfo_groups("ticks"):
            line = samples.lags.setdefault(group["name"].decode(), [])
            line.append((at, (group["lag"] or 0) + group["pending"]))
    began = time.perf_counter()
    try:
        with urlopen(f"{system.instance.url}/api/stocks", timeout=ANSWER_LIMIT) as answer:  # noqa: S310  # our nginx
            answer.read()
    except OSError:  # a soak goes on
        samples.not_answered += 1
    samples.api_ms.append((time.perf_counter() - began) * 1000)


def _judged(system: System, load: Load, report: Report) -> dict[str, float]:
    """Whether all arrived, once and in order, as in `path`; what the services said at the end."""
    asking, told = stop(system)
    skipped = told["forwarder"][-1]["skipped"]
    feed = scattered(system, load.count - skipped)
    table = judged(system, load.count)
    if not admitted(told["bridge"]):
        report.miss("in the table", *table)
        report.miss("in the browser", *feed)
    answers = {f"api's answer, ms: {stat}": asking[stat] for stat in STATS if stat in asking}
    return {"not shown": skipped} | answers


def _grown(samples: Samples) -> dict[str, float]:
    """kB and entries a minute in the second half, and the most that was seen."""
    figures = {f"{name}, kB a minute": slope(mb) * 1024 for name, mb in samples.own_mb.items()}
    for group, line in samples.lags.items():
        figures[f"{group}, lag at most, entries"] = max(lag for _, lag in line)
        figures[f"{group}, lag grows by, entries a minute"] = slope(line)
    return figures


def _panel(title: str, unit: str, lines: dict[str, list[Point]]) -> Panel:
    over = {name: [(at / MINUTE, value) for at, value in line] for name, line in lines.items()}
    return Panel(title, "minutes", unit, over, is_log=False)
