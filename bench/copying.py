"""Copying: asyncpg alone copies the stream's ticks into the table, as the writer's limit; JSON."""

import asyncio
import os
import time

import asyncpg

from bench.backlog import entries
from bench.browser import say
from pipeline.tick import Tick, parse_tick
from writer.settings import WriterSettings
from writer.store import TABLE


async def copy(redis_url: str, dsn: str) -> dict[str, float]:
    """Batches as large as the writer's; what is read and parsed in between isn't timed."""
    size = WriterSettings.model_fields["batch_rows"].default
    seconds = cpu = copied = 0.0
    connection = await asyncpg.connect(dsn)
    for batch in entries(redis_url, size):
        rows = [parse_tick(*entry) for entry in batch]
        began, used = time.monotonic(), time.process_time()
        await connection.copy_records_to_table(TABLE, records=rows, columns=Tick._fields)
        seconds += time.monotonic() - began
        cpu += time.process_time() - used
        copied += len(rows)
    await connection.close()
    return {"rows": copied, "seconds": seconds, "cpu_seconds": cpu}


if __name__ == "__main__":
    done = asyncio.run(copy(os.environ["REDIS_URL"], os.environ["POSTGRES_DSN"]))
    say(event="copied", **done)
