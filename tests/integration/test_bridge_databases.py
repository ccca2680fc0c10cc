"""Two pipelines in two databases of one Redis: pub/sub knows no databases, streams do."""

from functools import partial

from tests.bridging import load, messages, numbered, reaches, start
from tests.looking import look
from tests.servers import RedisServer
from tests.services import StartService
from tests.waiting import wait_until

STEP = 500


async def test_a_bridge_of_another_database_is_none_of_ours(
    own_redis: RedisServer, service: StartService
) -> None:
    url = own_redis.url.removesuffix("/0") + "/1"
    other = await start(service, own_redis.url, "ticks")
    first = await start(service, url, "ticks")
    async with look(own_redis.url) as redis, look(url) as ours:
        async with load(redis, "ticks") as sent:
            await wait_until(partial(reaches, ours, "ticks", STEP))
            first.kill()
            second = await start(service, url, "ticks")
            await wait_until(partial(reaches, ours, "ticks", sent[-1] + STEP))
        for each in (redis, ours):
            await wait_until(partial(reaches, each, "ticks", sent[-1]))
        assert await messages(redis, "ticks") == numbered(0, sent[-1] + 1)
    assert second.find("bridge.gap", reason="start")
    for bridge in (other, first, second):
        for wrong in ("bridge.lined_up", "stream.foreign", "stream.behind", "lease.yielded"):
            assert not bridge.find(wrong), bridge.transcript()
