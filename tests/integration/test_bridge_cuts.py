"""Every subscription is cut at once: what was missed is said, and nobody waits for it for long."""

from functools import partial

from tests.bridging import another, channel_of, load, publish, reaches, start
from tests.looking import look
from tests.servers import RedisServer
from tests.services import StartService
from tests.waiting import wait_until

CUTS = 20


async def test_a_bridge_alone_yields_to_nobody(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks")
    async with look(own_redis.url) as redis, load(redis, "ticks"):
        for _ in range(CUTS):
            since = len(bridge.events)
            await redis.client_kill_filter(_type="pubsub")
            await bridge.wait_for("bridge.gap", since=since)
    assert not bridge.find("lease.yielded"), bridge.transcript()


async def test_when_all_missed_the_same_it_is_offered_once(
    own_redis: RedisServer, service: StartService
) -> None:
    first = await start(service, own_redis.url, "ticks")
    others = [another(service, own_redis.url, "ticks") for _ in range(2)]
    bridges = [first, *others]
    for each in others:
        await each.wait_for("bridge.lined_up")
    async with look(own_redis.url) as redis:
        await redis.client_kill_filter(_type="pubsub")

        async def all_listen() -> bool:
            [[_, listening]] = await redis.pubsub_numsub(channel_of("ticks"))
            return bool(listening == len(bridges))

        await wait_until(all_listen)
        await publish(redis, "ticks", b"A:1")
        await wait_until(partial(reaches, redis, "ticks", 1))
    yields = [e for each in bridges for e in each.events if e["event"] == "lease.yielded"]
    assert len(yields) <= 1
    assert sum(bool(each.find("bridge.gap", reason="reconnect")) for each in bridges) == 1


async def test_a_standby_stops_at_once_however_long_the_lease(
    own_redis: RedisServer, service: StartService
) -> None:
    await start(service, own_redis.url, "ticks", BRIDGE_LEASE=60)
    standby = another(service, own_redis.url, "ticks", BRIDGE_LEASE=60)
    await standby.wait_for("lease.held")
    assert await standby.terminate(limit=3) == 0
