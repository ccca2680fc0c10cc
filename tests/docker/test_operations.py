"""Containers killed, restarted, made anew, stopped and taken down: nothing is lost."""

import asyncio
from time import monotonic

import pytest

from tests.counting import at_both_ends, count, further
from tests.docker.cli import docker
from tests.docker.stack import Stack
from tests.outside import Outside
from tests.waiting import wait_until

STOP_LIMIT = 15.0

pytestmark = pytest.mark.timeout(240)


async def test_each_container_killed_under_load_is_back_by_itself_and_each_tick_is_stored_once(
    stack: Stack, outside: Outside
) -> None:
    market = outside.market
    restarts = {each.id: each.restarts for each in stack.containers()}
    before = await market.position()
    async with market.trading():
        await outside.is_live(await further(outside, before))
        for service in stack.services:
            await asyncio.to_thread(stack.kill, service)
        await asyncio.to_thread(stack.wait_ready)
        await further(outside, await market.position())
    after = await at_both_ends(outside)

    counted = await count(outside, before, after)
    assert counted.rows == counted.ids
    assert counted.ours == counted.numbers
    # A Redis that dies in the middle of an fsync may forget what its readers had already.
    assert counted.rows >= after.appended - before.appended > 1000
    # Killed once, back once: nobody ends because somebody else is away.
    assert {each.id: each.restarts - restarts[each.id] for each in stack.containers()} == (
        dict.fromkeys(restarts, 1)
    )


async def test_all_containers_restarted_at_once_under_load_lose_nothing(
    stack: Stack, outside: Outside
) -> None:
    market = outside.market
    before = await market.position()
    async with market.trading():
        await outside.is_live(await further(outside, before))
        ids = [each.id for each in stack.containers()]
        await asyncio.to_thread(docker, "restart", *ids)
        await asyncio.to_thread(stack.wait_ready)
        await further(outside, await market.position())
    after = await at_both_ends(outside)

    counted = await count(outside, before, after)
    assert counted.rows == counted.ids == after.appended - before.appended
    assert counted.ours == counted.numbers


async def test_postgres_redis_and_centrifugo_made_anew_under_load_are_found_again(
    stack: Stack, outside: Outside
) -> None:
    market = outside.market
    before = await market.position()
    ids = {each.service: each.id for each in stack.containers()}
    async with market.trading():
        for service in ("postgres", "redis", "centrifugo"):
            words = ("up", "--detach", "--wait", "--force-recreate", "--no-deps", service)
            await asyncio.to_thread(stack.compose, *words)
            await outside.is_back(service)
        await asyncio.to_thread(stack.wait_ready)
        await further(outside, await market.position())
    after = await at_both_ends(outside)

    counted = await count(outside, before, after)
    assert counted.rows == counted.ids == after.appended - before.appended
    assert counted.ours == counted.numbers
    anew = {each.service for each in stack.containers() if each.id != ids[each.service]}
    assert anew == {"postgres", "redis", "centrifugo"}


async def test_stop_ends_in_time_and_down_keeps_the_data_that_up_goes_on_with(
    stack: Stack, outside: Outside
) -> None:
    market = outside.market
    before = await market.position()
    async with market.trading():
        await outside.is_stored(await further(outside, before))
        began = monotonic()
        await asyncio.to_thread(stack.compose, "stop")
        assert monotonic() - began < STOP_LIMIT
    codes = {each.service: each.inspected["State"]["ExitCode"] for each in stack.containers()}
    assert codes == dict.fromkeys(stack.services, 0)

    await asyncio.to_thread(stack.compose, "down")
    assert stack.containers() == []
    await asyncio.to_thread(stack.up)
    await wait_until(lambda: outside.get("/api/health"))
    after = await further(outside, before)
    await outside.is_stored(after)
    counted = await count(outside, before, after)
    assert counted.rows == counted.ids == after.appended - before.appended
    assert counted.ours == counted.numbers > 0


def test_compose_has_nothing_to_complain_about(stack: Stack) -> None:
    assert stack.screen("config", "--quiet") == ""
