"""Two or three bridges: whatever happens to one of them, the stream is complete, in order, once."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from tests.bridging import another, have_appended, load, messages, numbered, publish, reaches
from tests.looking import look
from tests.servers import RedisServer
from tests.services import Service, StartService
from tests.waiting import wait_until

STEP = 600  # messages between two faults

GoOn = Callable[[], Awaitable[None]]


class Bridges:
    """Bridges of one stream, in a Redis of their own; knows who is who."""

    def __init__(self, service: StartService, redis: Any, url: str) -> None:
        self._service, self._redis, self._url = service, redis, url
        self.all: list[Service] = []
        self._subscription: dict[Service, int] = {}

    async def start(self) -> None:
        """One more, which is lined up with those that run."""
        first = not any(bridge.running for bridge in self.all)
        known = await self._clients()
        bridge = another(self._service, self._url, "ticks")
        await bridge.wait_for("lease.taken" if first else "bridge.lined_up")
        [self._subscription[bridge]] = await self._clients() - known
        self.all.append(bridge)

    def active(self) -> Service:
        """Who took the lease last."""
        takes = [
            (event["at"], index)
            for index, bridge in enumerate(self.all)
            for event in bridge.events
            if event["event"] == "lease.taken" and bridge.running
        ]
        return self.all[max(takes)[1]]

    async def cut(self, bridge: Service) -> None:
        """Close its subscription; it has another one afterwards."""
        known = await self._clients()
        await self._redis.client_kill_filter(_id=self._subscription[bridge])
        [self._subscription[bridge]] = await wait_until(lambda: self._newer(known))

    def nothing_was_missed(self) -> None:
        for bridge in self.all:
            for bad in ("bridge.gap", "bridge.unaligned", "stream.foreign"):
                assert not bridge.find(bad), bridge.transcript()
        for bridge in self.all[1:]:
            assert not bridge.find("lease.taken", exact=False), bridge.transcript()

    async def _clients(self) -> set[int]:
        return {int(each["id"]) for each in await self._redis.client_list(_type="pubsub")}

    async def _newer(self, known: set[int]) -> set[int]:
        return await self._clients() - known


@pytest.fixture(params=[2, 3])
async def bridges(
    request: pytest.FixtureRequest, service: StartService, own_redis: RedisServer
) -> AsyncIterator[Bridges]:
    async with look(own_redis.url) as redis:
        started = Bridges(service, redis, own_redis.url)
        for _ in range(request.param):
            await started.start()
        yield started


@pytest.fixture
async def go_on(bridges: Bridges, own_redis: RedisServer) -> AsyncIterator[GoOn]:
    """Lets a load go on for a while; after the test, all of it is in the stream, once, in order."""
    async with look(own_redis.url) as redis:
        async with load(redis, "ticks") as sent:

            async def wait() -> None:
                await wait_until(partial(reaches, redis, "ticks", sent[-1] + STEP), limit=20)

            await wait()
            yield wait
            await wait()
        await wait_until(partial(reaches, redis, "ticks", sent[-1]), limit=20)
        assert await messages(redis, "ticks") == numbered(0, sent[-1] + 1)
    bridges.nothing_was_missed()


async def test_a_killed_bridge_is_missed_by_nobody(bridges: Bridges, go_on: GoOn) -> None:
    for _ in range(3):
        bridges.active().kill()
        await go_on()
        await bridges.start()


async def test_a_bridge_that_slept_longer_than_its_lease_wakes_as_a_standby(
    bridges: Bridges, go_on: GoOn
) -> None:
    for _ in range(3):
        asleep = bridges.active()
        asleep.signal(signal.SIGSTOP)
        await go_on()
        since = len(asleep.events)
        asleep.signal(signal.SIGCONT)
        await asleep.wait_for("lease.lost", since=since)
        await asleep.wait_for("bridge.lined_up", since=since)


async def test_a_cut_subscription_costs_nothing_while_another_bridge_listens(
    bridges: Bridges, go_on: GoOn
) -> None:
    for _ in range(3):
        cut = bridges.active()
        since = len(cut.events)
        await bridges.cut(cut)
        await cut.wait_for("lease.yielded", since=since)
        await go_on()
        await cut.wait_for("bridge.lined_up", since=since)


async def test_a_standby_that_was_cut_off_lines_up_again(bridges: Bridges, go_on: GoOn) -> None:
    [standby, *_] = [bridge for bridge in bridges.all if bridge is not bridges.active()]
    await bridges.cut(standby)
    await go_on()
    await bridges.cut(bridges.active())


async def test_a_bridge_that_stops_hands_over(bridges: Bridges, go_on: GoOn) -> None:
    for _ in range(2):
        assert await bridges.active().terminate() == 0
        await go_on()
        await bridges.start()


@pytest.mark.usefixtures("bridges")
async def test_a_flush_is_healed_by_whoever_takes_the_lease(
    go_on: GoOn, own_redis: RedisServer
) -> None:
    async with look(own_redis.url) as redis:
        for _ in range(3):
            await redis.flushall()
            await go_on()


async def test_an_idle_market_is_taken_over_too(bridges: Bridges, own_redis: RedisServer) -> None:
    async with look(own_redis.url) as redis:
        await publish(redis, "ticks", *numbered(0, 10))
        await have_appended(redis, "ticks", 10)
        bridges.active().kill()
        await wait_until(lambda: any(b.running and b.find("lease.taken") for b in bridges.all))
        await publish(redis, "ticks", *numbered(10, 20))
        await have_appended(redis, "ticks", 20)
        assert await messages(redis, "ticks") == numbered(0, 20)
    bridges.nothing_was_missed()


async def test_a_flush_is_healed_by_the_standby_of_a_bridge_that_died(
    bridges: Bridges, go_on: GoOn, own_redis: RedisServer
) -> None:
    async with look(own_redis.url) as redis:
        bridges.active().signal(signal.SIGSTOP)
        await redis.flushall()
        await go_on()
