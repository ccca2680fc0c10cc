"""bridge: channels NYSE and NASDAQ → tick stream, one entry per message, fenced."""

import asyncio
from functools import partial

from bridge.append import Appender
from bridge.backlog import Backlog
from bridge.gauges import read_gauges
from bridge.settings import BridgeSettings
from pipeline.connections import connect
from pipeline.lifecycle import run
from pipeline.progress import emit_progress, report_progress

DRAIN_LIMIT = 7.0  # seconds that a stop waits for a Redis that takes no appends


async def main(settings: BridgeSettings, stop: asyncio.Event) -> None:
    backlog = Backlog(settings.bridge_buffer)
    appender = Appender(settings, backlog)
    subscription = appender.subscription
    give_up = asyncio.Event()
    async with connect(settings) as redis, asyncio.TaskGroup() as tasks:
        gauges = partial(read_gauges, redis, settings.stream, settings.stream_max_entries)
        tasks.create_task(subscription.run(stop))
        tasks.create_task(report_progress(appender.metrics, stop, gauges))
        await subscription.ready.wait()
        appending = tasks.create_task(appender.run(give_up))
        await stop.wait()
        await asyncio.wait({appending}, timeout=DRAIN_LIMIT)
        give_up.set()
    emit_progress(appender.metrics())


if __name__ == "__main__":
    run("bridge", BridgeSettings, main)
