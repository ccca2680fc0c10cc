"""Health is progress: a stage that runs and gets nowhere is unhealthy, and well again by itself."""

import asyncio

import pytest

from tests.docker.cli import docker
from tests.docker.stack import Stack
from tests.outside import Outside
from tests.waiting import wait_until

LOOPS = {"generator", "bridge", "forwarder", "writer"}
NOTICED = 90.0  # seconds: 20 without progress, then three checks in a row, 10 apart


@pytest.mark.timeout(240)
async def test_loops_that_redis_leaves_hanging_become_unhealthy_and_well_again(
    stack: Stack, outside: Outside
) -> None:
    redis = stack.one("redis").id
    restarts = {each.id: each.restarts for each in stack.containers()}
    docker("pause", redis)
    try:

        async def noticed() -> bool:
            unwell = await asyncio.to_thread(stack.unwell)
            return {name for name, health in unwell.items() if health == "unhealthy"} >= LOOPS

        await wait_until(noticed, NOTICED, f"{LOOPS} unhealthy")
        assert stack.one("api").health == "healthy"  # it answers, and says what is wrong
        assert (await outside.get("/api/status"))["redis"] != "ok"
        assert (await outside.get("/api/stocks"))["stocks"]
    finally:
        docker("unpause", redis)
    await asyncio.to_thread(stack.wait_ready)
    await outside.is_stored(await outside.market.position())
    assert {each.id: each.restarts for each in stack.containers()} == restarts
