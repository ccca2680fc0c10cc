"""bridge: channels NYSE and NASDAQ → tick stream, one entry per message, fenced."""

import asyncio
from functools import partial

from redis.asyncio import Redis

from bridge.append import Appender
from bridge.backlog import Backlog
from bridge.gauges import read_gauges
from bridge.settings import BridgeSettings
from pipeline.lifecycle import run
from pipeline.shards import Report, serve_each

DRAIN_LIMIT = 7.0  # seconds that a stop waits for a Redis that takes no appends


async def main(settings: BridgeSettings, stop: asyncio.Event) -> None:
    await serve_each(settings, stop, serve)


async def serve(
    settings: BridgeSettings, redis: Redis, stop: asyncio.Event, report: Report
) -> None:
    backlog = Backlog(settings.bridge_buffer, settings.together)
    appender = Appender(settings, backlog)
    subscription = appender.subscription
    give_up = asyncio.Event()
    gauges = partial(read_gauges, redis, settings.stream, settings.stream_max_entries)
    report(appender.metrics, gauges)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(subscription.run(stop))
        await subscription.ready.wait()
        appending = tasks.create_task(appender.run(give_up))
        await stop.wait()
        await asyncio.wait({appending}, timeout=DRAIN_LIMIT)
        give_up.set()


if __name__ == "__main__":
    run("bridge", BridgeSettings, main)
