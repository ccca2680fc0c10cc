"""Every subscription is cut at once: what was missed is said, and nobody waits for it."""

from tests.bridging import load, start
from tests.looking import look
from tests.servers import RedisServer
from tests.services import StartService

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
