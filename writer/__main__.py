"""writer: tick stream → PostgreSQL, one COPY every five seconds, each tick once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from redis.asyncio import Redis

from pipeline.lag import read_lag
from pipeline.letters_tool import LettersTool
from pipeline.lifecycle import run
from pipeline.shards import Report, serve_each
from pipeline.stream import Consumer, Gathering, Handler
from writer.settings import WriterSettings
from writer.store import TickStore
from writer.upkeep import keep_partitions_hourly

GROUP = "writer"
PACE = timedelta(milliseconds=200)  # a read takes what came meanwhile; the flush is seconds away


async def main(settings: WriterSettings, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        upkeep = tasks.create_task(keep_partitions_hourly(str(settings.postgres_dsn), stop))
        await serve_each(settings, stop, serve)
        upkeep.cancel()  # what it had not finished is undone, and due at the next start


async def serve(
    settings: WriterSettings,
    redis: Redis,
    stop: asyncio.Event,
    report: Report,
) -> None:
    gathering = Gathering(settings.batch_rows, settings.flush_interval, PACE, ahead=True)
    async with TickStore(settings.postgres_dsn) as store:
        consumer = Consumer(redis, GROUP, settings, gathering)
        report(
            lambda: consumer.metrics() | store.metrics(),
            partial(read_lag, redis, settings.stream, GROUP),
        )
        await consumer.run(store.save, stop)


@asynccontextmanager
async def storing(settings: WriterSettings) -> AsyncIterator[Handler]:
    async with TickStore(settings.postgres_dsn) as store:
        yield store.save


if __name__ == "__main__":
    run("writer", WriterSettings, main, LettersTool(GROUP, storing))
