"""Faults of the network: between a service and a server that are both well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial

import aiohttp

from local.instance import LOOPBACK
from tests.chaos.network import LINKS
from tests.chaos.scene import Fault, Scene

UP, DOWN = "upstream", "downstream"
CUTS, RESETS, DELAYS = (0.3, 5.0), (1.0, 4.0), (3.0, 6.0)  # seconds
LATENCIES = 200, 1500  # milliseconds
BLACK_HOLE, NOTICED_WITHIN = 20.0, 15.0
ASK_EVERY = 0.5


async def cut(service: str, server: str, scene: Scene) -> None:
    """Connections are closed, new ones refused."""
    network, link = scene.stack.network, _link(service, server, scene)
    async with network.cut(link), _asked(service, scene):
        await scene.some(CUTS)


async def reset(service: str, server: str, scene: Scene) -> None:
    """Connections are made, and reset at the first byte."""
    network, link = scene.stack.network, _link(service, server, scene)
    resetting = network.toxic(link, "reset_peer", (UP, DOWN), timeout=0)
    async with resetting, _asked(service, scene):
        await scene.some(RESETS)


async def delay(service: str, server: str, scene: Scene) -> None:
    network, link, streams = scene.stack.network, _link(service, server, scene), _streams(scene)
    late = network.toxic(link, "latency", streams, latency=scene.random.randint(*LATENCIES))
    async with late, _asked(service, scene):
        await scene.some(DELAYS)


async def blackhole(service: str, server: str, scene: Scene) -> None:
    """All is lost on the way, one way or both, and no connection ends: that must be noticed."""
    network, link, streams = scene.stack.network, _link(service, server, scene), _streams(scene)
    began = datetime.now(UTC)
    async with network.toxic(link, "timeout", streams, timeout=0), _asked(service, scene):
        await asyncio.sleep(BLACK_HOLE)
    after = [
        (datetime.fromisoformat(str(event["at"])) - began).total_seconds()
        for event in scene.stack.events_of(link.removesuffix(f"-{server}"))
        if event["event"] == "outage" and event["neighbour"] == server
    ]
    noticed = min((seconds for seconds in after if seconds > 0), default=None)
    if noticed is None or noticed > NOTICED_WITHIN:
        when = "" if noticed is None else f": after {noticed:.1f} s"
        scene.note(f"blackhole:{link} ({', '.join(streams)}) wasn't noticed in time{when}")


def network_faults() -> dict[str, Fault]:
    """By name, in a fixed order: a seed draws from it."""
    kinds = {"cut": cut, "delay": delay, "reset": reset, "blackhole": blackhole}
    return {
        f"{kind}:{service}-{server}": partial(fault, service, server)
        for kind, fault in kinds.items()
        for service, server in LINKS
    }


def _link(service: str, server: str, scene: Scene) -> str:
    return f"{scene.one_of(service)}-{server}"


def _streams(scene: Scene) -> tuple[str, ...]:
    return scene.random.choice(((UP,), (DOWN,), (UP, DOWN)))


@asynccontextmanager
async def _asked(service: str, scene: Scene) -> AsyncIterator[None]:
    """The api uses its servers only when somebody asks it."""
    if service != "api":
        yield
        return
    url = f"http://{LOOPBACK}:{scene.stack.instance.api_port}/api/status"
    asking = asyncio.create_task(_ask(url))
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.wait({asking})


async def _ask(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(url):
                    pass
            await asyncio.sleep(ASK_EVERY)
