"""forwarder: tick stream → Centrifugo, many ticks a publication, in stream order."""

import asyncio
from datetime import timedelta

from forwarder.centrifugo import Centrifugo
from forwarder.feed import Feed
from forwarder.settings import ForwarderSettings
from pipeline.connections import connect
from pipeline.events import emit
from pipeline.lifecycle import run
from pipeline.progress import report_progress
from pipeline.stream import Consumer, Gathering

# The first tick after quiet goes at once. Without a pause Centrifugo burns a core in requests of
# one tick each, to be 1 ms faster.
PACE = timedelta(milliseconds=2)


async def main(settings: ForwarderSettings, stop: asyncio.Event) -> None:
    gathering = Gathering(settings.batch, pace=PACE)
    async with connect(settings) as redis, Centrifugo(settings) as centrifugo:
        feed = Feed(centrifugo, settings.forwarder_max_lag)
        consumer = Consumer(redis, "forwarder", settings, gathering)

        def counters() -> dict[str, int]:
            return consumer.counters | feed.counters

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(report_progress(counters, stop))
            await consumer.run(feed.publish, stop)
        emit("progress", **counters())


if __name__ == "__main__":
    run("forwarder", ForwarderSettings, main)
