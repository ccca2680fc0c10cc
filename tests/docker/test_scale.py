"""More replicas while prices come in: each of them works, nothing is lost, nothing is twice."""

import asyncio
from functools import partial

import pytest

from tests.counting import at_both_ends, count, further
from tests.docker.stack import Stack
from tests.outside import PATIENCE, Outside
from tests.waiting import wait_until

MORE = {"writer": 3, "api": 2, "forwarder": 2}
ASKED = """
SELECT DISTINCT host(client_addr) AS address FROM pg_stat_activity
WHERE usename = 'api' AND query_start > now() - interval '2 s'
"""

pytestmark = pytest.mark.timeout(240)


async def test_replicas_added_under_load_share_the_work(stack: Stack, outside: Outside) -> None:
    market = outside.market
    before = await market.position()
    async with market.trading():
        await outside.is_live(await further(outside, before))
        ids = {each.id for each in stack.containers()}
        await asyncio.to_thread(scale, stack, MORE)
        assert ids < {each.id for each in stack.containers()}
        for group in ("writer", "forwarder"):
            await wait_until(partial(all_read, stack, outside, group), PATIENCE)
        await wait_until(lambda: all_answer(stack, outside), PATIENCE)
        await further(outside, await market.position())
    after = await at_both_ends(outside)

    counted = await count(outside, before, after)
    published = sum(int(price) for price in market.newest.values())
    assert counted.ours == counted.numbers == published
    assert counted.rows == counted.ids == after.appended - before.appended


def scale(stack: Stack, replicas: dict[str, int]) -> None:
    words = [word for name, n in replicas.items() for word in ("--scale", f"{name}={n}")]
    stack.up("--no-recreate", *words)


async def all_read(stack: Stack, outside: Outside, group: str) -> bool:
    """Each container is a consumer by its host name, and has had entries."""
    hosts = {each.host_name for each in stack.containers(group)}
    consumers = await outside.market.consumers(group)
    assert len(hosts) == MORE[group]
    return all(consumers.get(host, -1) >= 0 for host in hosts)


async def all_answer(stack: Stack, outside: Outside) -> bool:
    """The database has just been asked by each of them, and they were asked by nginx."""
    replicas = stack.containers("api")
    assert len(replicas) == MORE["api"]
    for _ in range(2 * len(replicas)):
        assert await outside.get("/api/stocks")
    asked = {row["address"] for row in await outside.sql(ASKED)}
    return {each.addresses["data"] for each in replicas} <= asked
