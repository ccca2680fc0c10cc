"""forwarder: tick stream → Centrifugo, many ticks a publication, in stream order."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import partial

from redis.asyncio import Redis

from forwarder.backlog import GROUP, Backlog
from forwarder.centrifugo import Centrifugo
from forwarder.feed import Feed
from forwarder.settings import ForwarderSettings
from pipeline.lag import read_lag
from pipeline.letters_tool import LettersTool
from pipeline.lifecycle import run
from pipeline.outage import Outage
from pipeline.shards import Report, serve_each
from pipeline.stream import Consumer, Gathering

# The first tick after quiet goes at once. Without a pause Centrifugo burns a core in requests of
# one tick each, to be 1 ms faster.
PACE = timedelta(milliseconds=2)


async def main(settings: ForwarderSettings, stop: asyncio.Event) -> None:
    async with Centrifugo(settings) as centrifugo:
        await serve_each(settings, stop, partial(serve, centrifugo))


async def serve(
    centrifugo: Centrifugo,
    settings: ForwarderSettings,
    redis: Redis,
    stop: asyncio.Event,
    report: Report,
) -> None:
    goes_on = Backlog(redis, settings).goes_on
    feed = Feed(centrifugo, settings.forwarder_max_lag, goes_on, settings.number)
    gathering = Gathering(settings.batch, pace=PACE, ahead=True)
    consumer = Consumer(redis, GROUP, settings, gathering)
    report(
        lambda: consumer.metrics() | feed.metrics(),
        partial(read_lag, redis, settings.stream, GROUP),
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(feed.publish_long_held(stop))
        await consumer.run(feed.publish, stop)
    with suppress(Outage, TimeoutError):  # old prices: no reason to be late for a stop
        async with asyncio.timeout(1):
            await feed.publish_held()


if __name__ == "__main__":
    run("forwarder", ForwarderSettings, main, LettersTool(GROUP))
