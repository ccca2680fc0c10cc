"""Each process of the system is killed under load; then what went in is counted at its ends."""

import asyncio
import re
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest

from tests.counting import at_both_ends, count, further, said
from tests.market import STOCKS, Said
from tests.outside import PATIENCE, Outside, outside
from tests.target import Target
from tests.waiting import wait_until

GAP = re.compile(r'"event":"bridge.gap".*"reason":"(\w+)","seconds":([\d.]+)')


@pytest.fixture(name="outside")
async def whole_system(system: Target) -> AsyncIterator[Outside]:
    async with outside(system) as there:
        yield there


async def test_what_was_published_is_stored_once_whichever_reader_or_server_dies(
    outside: Outside,
) -> None:
    market = outside.market
    async with market.listening():
        before = await market.position()
        first = await market.sign()
        async with market.trading():
            for name in ("writer", "forwarder", "api", "centrifugo", "nginx", "postgres"):
                await asyncio.to_thread(outside.system.kill, name)
                await outside.is_back(name)
        last = await market.sign()
    after = await at_both_ends(outside)

    counted = await count(outside, before, after)
    published = sum(int(market.newest[stock_name]) for stock_name in STOCKS)
    assert counted.ours == counted.numbers == published > 10_000
    assert counted.rows == counted.ids == after.appended - before.appended
    stored = await said(outside, before, after)
    assert between(stored, first, last) == between(market.heard, first, last)
    status = await outside.get("/api/status")
    assert status["dead_letters"] == {"bridge": 0, "forwarder": 0, "writer": 0}


async def test_what_was_appended_is_stored_once_and_the_hole_is_said_when_bridge_and_redis_die(
    outside: Outside,
) -> None:
    market = outside.market
    before = await market.position()
    async with market.trading():
        await outside.is_live(await further(outside, before))
        await dies_and_says_its_gap(outside, "bridge", "start")
        await dies_and_says_its_gap(outside, "redis", "reconnect")
    after = await at_both_ends(outside)

    counted = await count(outside, before, after)
    assert counted.rows == counted.ids
    # A Redis that dies in the middle of an fsync may forget what its readers had already.
    assert counted.rows >= after.appended - before.appended > 0
    assert counted.ours == counted.numbers


async def dies_and_says_its_gap(outside: Outside, name: str, reason: str) -> None:
    known = (await outside.get("/api/status"))["bridge_gaps"]["count"]
    before = GAP.findall(outside.system.output())
    began = monotonic()
    await asyncio.to_thread(outside.system.kill, name)

    def logged() -> list[tuple[str, str]]:
        return [gap for gap in GAP.findall(outside.system.output()) if gap not in before]

    [(cause, length)] = await wait_until(logged, PATIENCE, "bridge.gap in the log")
    seconds = float(length)
    assert cause == reason
    assert 0 < seconds < monotonic() - began

    async def shown() -> Any:
        status = await outside.get("/api/status")
        gaps = status and status["bridge_gaps"]
        return gaps if gaps and gaps["count"] > known else None

    gaps = await wait_until(shown, PATIENCE, "the gap in the status")
    assert gaps["count"] == known + 1
    assert (gaps["last"]["reason"], float(gaps["last"]["seconds"])) == (reason, seconds)
    await outside.is_live(await outside.market.position())


def between(said: list[Said], first: Said, last: Said) -> list[Said]:
    return said[said.index(first) : said.index(last) + 1]
