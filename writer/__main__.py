"""writer: tick stream → PostgreSQL, one COPY every five seconds, each tick once."""

import asyncio
from datetime import timedelta

from pipeline.connections import connect
from pipeline.events import emit
from pipeline.lifecycle import run
from pipeline.progress import report_progress
from pipeline.stream import Consumer, Gathering
from writer.settings import WriterSettings
from writer.store import TickStore

PACE = timedelta(milliseconds=200)  # a read takes what came meanwhile; the flush is seconds away


async def main(settings: WriterSettings, stop: asyncio.Event) -> None:
    gathering = Gathering(settings.batch_rows, settings.flush_interval, PACE)
    async with connect(settings) as redis, TickStore(settings.postgres_dsn) as store:
        consumer = Consumer(redis, "writer", settings, gathering)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(report_progress(lambda: consumer.counters, stop))
            await consumer.run(store.save, stop)
        emit("progress", **consumer.counters)


if __name__ == "__main__":
    run("writer", WriterSettings, main)
