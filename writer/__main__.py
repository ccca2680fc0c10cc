"""writer: tick stream → PostgreSQL, one COPY every five seconds, each tick once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from pipeline.connections import connect
from pipeline.lag import read_lag
from pipeline.letters_tool import LettersTool
from pipeline.lifecycle import run
from pipeline.progress import emit_progress, report_progress
from pipeline.stream import Consumer, Gathering, Handler
from writer.settings import WriterSettings
from writer.store import TickStore
from writer.upkeep import keep_partitions_hourly

PACE = timedelta(milliseconds=200)  # a read takes what came meanwhile; the flush is seconds away


async def main(settings: WriterSettings, stop: asyncio.Event) -> None:
    gathering = Gathering(settings.batch_rows, settings.flush_interval, PACE, ahead=True)
    async with connect(settings) as redis, TickStore(settings.postgres_dsn) as store:
        consumer = Consumer(redis, "writer", settings, gathering)

        def metrics() -> dict[str, object]:
            return consumer.metrics() | store.metrics()

        lag = partial(read_lag, redis, settings.stream, "writer")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(report_progress(metrics, stop, lag))
            upkeep = tasks.create_task(keep_partitions_hourly(str(settings.postgres_dsn), stop))
            await consumer.run(store.save, stop)
            upkeep.cancel()  # what it had not finished is undone, and due at the next start
        emit_progress(metrics())


@asynccontextmanager
async def storing(settings: WriterSettings) -> AsyncIterator[Handler]:
    async with TickStore(settings.postgres_dsn) as store:
        yield store.save


if __name__ == "__main__":
    run("writer", WriterSettings, main, LettersTool("writer", storing))
