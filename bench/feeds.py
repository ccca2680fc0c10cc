"""Feeds: what a publication costs one Centrifugo, and two nodes with a Redis between them"""

import asyncio
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import orjson
import yaml

from bench.backlog import STOCKS
from bench.browser import quantiles
from bench.forwarder import BROWSER, close_browser, open_browser
from bench.load import Load, price, stock_name
from bench.numbers import said
from bench.plan import Plan
from bench.system import System
from forwarder.centrifugo import Centrifugo, Publication
from forwarder.settings import ForwarderSettings
from local.instance import LOOPBACK, ROOT

SIZES = (1, 20, 500)  # ticks in a publication
RATE, TICKS = 200, 5000  # a second, at most: publications, ticks
SECONDS = 20.0  # the kernel counts CPU in hundredths
CHANNEL, COLUMNS = "prices:NYSE", ["id", "stock_name", "price", "received_us"]
HEAD = ["ticks a publication", "one: Centrifugo, µs", "answer, ms", "client, ms"]
HEAD += ["two: asked node, µs", "other node, µs", "Redis, µs", "answer, ms", "client, ms"]


async def run(plan: Plan) -> str:
    """A client on each node; of several runs the medians. Raises if a client misses a tick."""
    lines = [f"| {' | '.join(HEAD)} |", "|---:" * len(HEAD) + "|"]
    for size in plan.sizes or SIZES:
        found = [await _both(size, plan.seconds or SECONDS) for _ in range(plan.runs)]
        medians = [statistics.median(values) for values in zip(*found, strict=True)]
        lines.append(f"| {size} | {' | '.join(f'{value:.3g}' for value in medians)} |")
        sys.stderr.write(f"  {lines[-1]}\n")
    return "\n".join(lines)


async def _both(size: int, seconds: float) -> list[float]:
    with System("feed-alone", "centrifugo") as alone:
        one = await _measured(size, seconds, alone)
    with ExitStack() as stack:
        shared = stack.enter_context(System("feed-redis", "redis-feed"))
        names = ("feed-asked", "feed-other")
        nodes = [stack.enter_context(System(n, "centrifugo", **_engine(shared))) for n in names]
        return one + await _measured(size, seconds, *nodes, shared)


def _engine(shared: System) -> dict[str, str]:
    """As in compose, but for the address."""
    overlay: Any = yaml.safe_load((ROOT / "compose.two-feeds.yaml").read_text())
    engine: dict[str, str] = overlay["services"]["centrifugo"]["environment"]
    password = shared.instance.environment()["REDIS_FEED_PASSWORD"]
    return engine | {
        "CENTRIFUGO_ENGINE_REDIS_ADDRESS": f"redis://{LOOPBACK}:{shared.instance.redis_port}",
        "CENTRIFUGO_ENGINE_REDIS_PASSWORD": password,
    }


async def _measured(size: int, seconds: float, *systems: System) -> list[float]:
    """µs a publication of each server; ms to the answer, and to a client of the last node."""
    rate = min(RATE, TICKS / size)
    load = Load(rate * size, seconds, STOCKS)
    nodes = [each for each in systems if "centrifugo" in each.cpu()]
    for node in nodes:
        await asyncio.to_thread(open_browser, node, load, node.instance.centrifugo_port)
    before = [_servers(each.cpu()) for each in systems]
    answers = await _post(nodes[0], size, rate, seconds)
    after = [_servers(each.cpu()) for each in systems]
    seen = [await asyncio.to_thread(close_browser, node) for node in nodes]
    for each in seen:
        if wrong := said(each["missing"], each["twice"], each["late"]):
            raise RuntimeError(f"a client: {', '.join(wrong)}")
    used = [(late - early) / len(answers) * 1e6 for early, late in zip(before, after, strict=True)]
    return [*used, quantiles(answers)["p50"], _age(seen[-1])]


def _servers(cpu: Mapping[str, float]) -> float:
    return sum(seconds for name, seconds in cpu.items() if name != BROWSER)


def _age(seen: Mapping[str, Any]) -> float:
    return float(seen["ages"]["p50"])


async def _post(node: System, size: int, rate: float, seconds: float) -> list[float]:
    """As the forwarder does, one after the other; how many ms each took."""
    given = node.instance.environment()
    names = ("CENTRIFUGO_API_URL", "CENTRIFUGO_API_KEY")
    wanted = {name.lower(): given[name] for name in names} | {"redis_url": f"redis://{LOOPBACK}"}
    took = []
    async with Centrifugo(ForwarderSettings.model_validate(wanted)) as api:
        began = time.monotonic()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(began + number / rate - time.monotonic())
            sent = time.monotonic()
            await api.publish([_publication(number * size, size)])
            took.append((time.monotonic() - sent) * 1000)
    return took


def _publication(first: int, size: int) -> Publication:
    """Ticks as a load counts them."""
    us = time.time_ns() // 1000
    ticks = [
        [f"{us // 1000}-{n}", stock_name(n % STOCKS), orjson.Fragment(price(n // STOCKS + 1)), us]
        for n in range(first, first + size)
    ]
    data = orjson.dumps({"columns": COLUMNS, "ticks": ticks, "skipped": 0})
    return Publication(CHANNEL, f"{first}_{size}", data)
