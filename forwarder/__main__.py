"""forwarder: tick stream → Centrifugo, many ticks a publication, in stream order."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import partial

from forwarder.backlog import GROUP, Backlog
from forwarder.centrifugo import Centrifugo
from forwarder.feed import Feed
from forwarder.settings import ForwarderSettings
from pipeline.connections import connect
from pipeline.lag import read_lag
from pipeline.letters_tool import LettersTool
from pipeline.lifecycle import run
from pipeline.outage import Outage
from pipeline.progress import emit_progress, report_progress
from pipeline.stream import Consumer, Gathering

# The first tick after quiet goes at once. Without a pause Centrifugo burns a core in requests of
# one tick each, to be 1 ms faster.
PACE = timedelta(milliseconds=2)


async def main(settings: ForwarderSettings, stop: asyncio.Event) -> None:
    gathering = Gathering(settings.batch, pace=PACE, ahead=True)
    async with connect(settings) as redis, Centrifugo(settings) as centrifugo:
        feed = Feed(centrifugo, settings.forwarder_max_lag, Backlog(redis, settings).goes_on)
        consumer = Consumer(redis, GROUP, settings, gathering)

        def metrics() -> dict[str, object]:
            return consumer.metrics() | feed.metrics()

        lag = partial(read_lag, redis, settings.stream, GROUP)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(report_progress(metrics, stop, lag))
            await consumer.run(feed.publish, stop)
            with suppress(Outage, TimeoutError):  # old prices: no reason to be late for a stop
                async with asyncio.timeout(1):
                    await feed.publish_held()
        emit_progress(metrics())


if __name__ == "__main__":
    run("forwarder", ForwarderSettings, main, LettersTool(GROUP))
