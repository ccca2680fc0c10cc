"""Copying: asyncpg alone copies the stream's ticks into the table, as the writer's limit; JSON."""

import asyncio
import os
import sys
import time

import asyncpg
import orjson
import redis

from pipeline.tick import Tick, parse_tick
from writer.settings import WriterSettings
from writer.store import TABLE

COUNT = 10_000  # entries in one read


async def copy(redis_url: str, dsn: str) -> dict[str, float]:
    """Batches as large as the writer's; what is read and parsed in between isn't timed."""
    batch = WriterSettings.model_fields["batch_rows"].default
    rows, seconds, cpu, copied = list[Tick](), 0.0, 0.0, 0
    connection = await asyncpg.connect(dsn)
    with redis.Redis.from_url(redis_url, protocol=2) as stream:
        after, ended = b"-", False
        while not ended:
            entries = stream.xrange("ticks", min=after, count=COUNT)
            ended = len(entries) < COUNT
            rows += [parse_tick(each, f[b"channel"], f[b"message"]) for each, f in entries]
            after = b"(" + entries[-1][0] if entries else after
            if len(rows) >= batch or ended:
                began, used = time.monotonic(), time.process_time()
                await connection.copy_records_to_table(TABLE, records=rows, columns=Tick._fields)
                seconds += time.monotonic() - began
                cpu += time.process_time() - used
                copied += len(rows)
                rows.clear()
    await connection.close()
    return {"rows": copied, "seconds": seconds, "cpu_seconds": cpu}


if __name__ == "__main__":
    done = asyncio.run(copy(os.environ["REDIS_URL"], os.environ["POSTGRES_DSN"]))
    sys.stdout.buffer.write(orjson.dumps({"event": "copied", **done}) + b"\n")
