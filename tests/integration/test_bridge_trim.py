"""The bridge trims while Redis is flushed and a group reads: nobody misses an entry."""

import asyncio
from collections.abc import Sequence

from pipeline.stream import Entry, Rejected
from tests.bridging import LOAD_PAUSE, LOAD_TOGETHER, numbered, publish, start
from tests.consuming import GROUP, consume, stream_settings
from tests.looking import look
from tests.servers import RedisServer
from tests.services import StartService

FLUSHED_AFTER = (1500, 3000, 4500)
LAST = b"A:0"


async def test_a_reader_misses_nothing_while_flushes_and_trimming_meet(
    own_redis: RedisServer, service: StartService
) -> None:
    bridge = await start(service, own_redis.url, "ticks", STREAM_GROUPS=GROUP)
    seen: set[bytes] = set()

    async def note(batch: Sequence[Entry]) -> Sequence[Rejected]:
        seen.update(message for _, _, message in batch)
        return ()

    settings = stream_settings(own_redis.url, "ticks")
    reading = asyncio.ensure_future(consume(settings, lambda _: LAST in seen, note))
    async with look(own_redis.url) as redis:
        for first in range(1, 6001, LOAD_TOGETHER):
            await publish(redis, "ticks", *numbered(first, first + LOAD_TOGETHER))
            await asyncio.sleep(LOAD_PAUSE)
            if first + LOAD_TOGETHER - 1 in FLUSHED_AFTER:
                await redis.flushall()
        await publish(redis, "ticks", LAST)
        await reading

    assert set(numbered(1, 6001)) - seen == set()
    assert await bridge.terminate() == 0
    [*_, final] = [event for event in bridge.events if event["event"] == "progress"]
    assert final["trimmed"] > 0
    assert bridge.find("stream.behind")
