"""appendfsync: what each of its values costs an append, and what a Redis that is killed loses"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.browser import quantiles
from bench.plan import Plan
from bench.system import System
from bridge.append import PACE, TRIM_EVERY
from bridge.backlog import PIECE, Backlog, Piece
from bridge.lineup import LineUp
from bridge.ring import Ring
from bridge.script import Reply, StreamScript
from bridge.settings import BridgeSettings
from pipeline.outage import Outage

POLICIES = ("no", "everysec", "always")
ROUNDS = 3
RATE, SECONDS = 5000, 30.0  # if the plan says none
KEPT = 200_000  # entries: it is trimmed as it is when readers follow
TOKEN = b"bench"
MESSAGES = tuple(b"STOCK-%d:%d.25" % (n % 6, n) for n in range(PIECE))
CHANNELS = (b"NYSE",) * PIECE
SIZE = 20  # bytes of one, about
PERCENTILES = ("p50", "p99")


class Hand:
    """The bridge's own appends and trims; what it would receive is made here."""

    def __init__(self, url: str) -> None:
        variables = {"redis_url": url, "stream_max_entries": KEPT, "stream_groups": ("nobody",)}
        settings = BridgeSettings.model_validate(variables)
        self.script = StreamScript(settings)
        self._backlog = Backlog(settings.bridge_buffer)
        ring = Ring(settings.bridge_replay, settings.stream_max_entries)
        self._line_up = LineUp(self._backlog, ring, lambda _: None)
        self._number = 0
        self._trimmed_at = time.monotonic()

    @property
    def confirmed(self) -> int:
        """Entries of which Redis has said that they are in the stream."""
        return self._line_up.position

    async def take(self) -> Reply:
        reply = await self.script.take(TOKEN, b"")
        if reply.status != "OK":
            raise RuntimeError(f"the lease of a Redis of the bench's own is {reply.status}")
        self._line_up.token = TOKEN
        self._line_up.take_over(reply, heard=True)
        self._line_up.position = reply.position
        return reply

    async def append(self, count: int) -> float:
        """One batch; the seconds until Redis had it."""
        line_up, now_us = self._line_up, time.time_ns() // 1000
        self._backlog.add(Piece(now_us, CHANNELS[:count], MESSAGES[:count], SIZE * count))
        line_up.compose()
        batch = line_up.in_flight
        self._number += 1
        words = line_up.notice(self._number, batch)
        began = time.perf_counter()
        reply = await self.script.append(TOKEN, line_up.position, batch, batch.mark, words)
        took = time.perf_counter() - began
        self._learn(reply)
        line_up.landed()
        line_up.position = reply.position
        return took

    async def trim(self) -> None:
        """When it is time."""
        more = time.monotonic() - self._trimmed_at >= TRIM_EVERY
        while more:
            reply = await self.script.trim(TOKEN, self._line_up.position, b"")
            self._learn(reply)
            more = reply.more
            self._trimmed_at = time.monotonic()

    @staticmethod
    def _learn(reply: Reply) -> None:
        if reply.status != "OK":
            raise RuntimeError(f"somebody else uses this Redis: {reply.status}")


async def run(plan: Plan) -> str:
    """Each round all of them, one after the other, so that they have the same neighbours."""
    rate, seconds = plan.rate or RATE, plan.seconds or SECONDS
    rounds: dict[str, list[list[float]]] = {policy: [] for policy in POLICIES}
    for _round in range(ROUNDS):
        for policy in POLICIES:
            rounds[policy].append(await _measure(policy, rate, seconds))
            line = " | ".join(f"{value:,.3g}" for value in rounds[policy][-1])
            sys.stderr.write(f"{policy}: {line}\n")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"Batches of {PIECE} as fast as Redis takes them, then {rate:,.0f} messages a second; "
        f"medians of {ROUNDS} rounds of {seconds:g} s each.\n\n{_table(rate, rounds)}\n\n"
        f"Lost: confirmed entries that a Redis lacked after SIGKILL in mid-load, in all rounds: "
        f"the machine lived. Load average at the end: {load}, this bench's own with it."
    )


async def _measure(policy: str, rate: float, seconds: float) -> list[float]:
    """Rows a second, p50 and p99 in ms; those at that rate; what a kill lost."""
    with System("appendfsync") as system:
        system.start("redis", "--appendfsync", policy)
        async with _hand(system) as hand:
            rows, took = await _flood(hand, seconds)
            paced = await _paced(hand, rate, seconds)
            lost = await _killed(system, policy, hand)
    return [rows, *_percentiles(took), *_percentiles(paced), lost]


@asynccontextmanager
async def _hand(system: System) -> AsyncIterator[Hand]:
    hand = Hand(system.instance.redis_url("operator"))
    try:
        await hand.take()
        yield hand
    finally:
        hand.script.close()


async def _flood(hand: Hand, seconds: float) -> tuple[float, list[float]]:
    began, first, took = time.monotonic(), hand.confirmed, list[float]()
    while time.monotonic() - began < seconds:
        took.append(await hand.append(PIECE))
        await hand.trim()
    return (hand.confirmed - first) / (time.monotonic() - began), took


async def _paced(hand: Hand, rate: float, seconds: float) -> list[float]:
    """As the bridge does it: what came meanwhile goes together, a millisecond after the last."""
    began, first, took = time.monotonic(), hand.confirmed, list[float]()
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * rate) - (hand.confirmed - first)
        if due > 0:
            took.append(await hand.append(min(due, PIECE)))
        await hand.trim()
        await asyncio.sleep(PACE)
    return took


async def _killed(system: System, policy: str, hand: Hand) -> float:
    """Confirmed entries that are gone when Redis is there again."""
    killing = asyncio.get_running_loop().call_later(TRIM_EVERY, system.kill, "redis")
    try:
        while True:
            await hand.append(PIECE)
            await asyncio.sleep(0)  # or the kill would have no turn
    except Outage:
        killing.cancel()
    system.kill("redis")
    system.start("redis", "--appendfsync", policy)
    async with _hand(system) as after:
        return max(0, hand.confirmed - after.confirmed)


def _percentiles(took: list[float]) -> list[float]:
    """In ms."""
    found = quantiles(took)
    return [found[name] * 1000 for name in PERCENTILES]


def _table(rate: float, rounds: dict[str, list[list[float]]]) -> str:
    heads = ["appendfsync", "rows/s", "p50", "p99"]
    heads += [f"p50 at {rate:,.0f}/s", "p99", "lost"]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for policy, each in rounds.items():
        rows, *latencies, _ = map(statistics.median, zip(*each, strict=True))
        shown = " | ".join(f"{value:.2f} ms" for value in latencies)
        lost = sum(row[-1] for row in each)
        lines.append(f"| {policy} | {rows:,.0f} | {shown} | {lost:,.0f} |")
    return "\n".join(lines)
