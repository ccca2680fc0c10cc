"""Copying: asyncpg alone copies the stream's ticks into the table, as the writer's limit; JSON."""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg

from bench.backlog import entries
from bench.browser import say
from pipeline.ticks import sift
from writer.rows import COLUMNS, Row, rows_of
from writer.settings import WriterSettings
from writer.store import TABLE

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def copy(redis_url: str, dsn: str) -> dict[str, float]:
    """Batches as large as the writer's; what is read and parsed in between isn't timed."""
    size = WriterSettings.model_fields["batch_rows"].default
    seconds = cpu = copied = 0.0
    connection = await asyncpg.connect(dsn)
    for batch in entries(redis_url, size):
        rows = [_plain(row) for row in rows_of(sift(batch)[0])]
        began, used = time.monotonic(), time.process_time()
        await connection.copy_records_to_table(TABLE, records=rows, columns=COLUMNS)
        seconds += time.monotonic() - began
        cpu += time.process_time() - used
        copied += len(rows)
    await connection.close()
    return {"rows": copied, "seconds": seconds, "cpu_seconds": cpu}


def _plain(row: Row) -> tuple[datetime, str, str, Decimal, int]:
    """With the types that asyncpg takes by itself."""
    _, stock_name, exchange_name, price, event_id = row
    received = EPOCH + timedelta(milliseconds=event_id >> 20, microseconds=(event_id >> 10) & 1023)
    return received, stock_name, exchange_name, Decimal(price.decode()), event_id


if __name__ == "__main__":
    done = asyncio.run(copy(os.environ["REDIS_URL"], os.environ["POSTGRES_DSN"]))
    say(event="copied", **done)
