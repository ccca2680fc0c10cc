"""Storing: the writer's own store takes so many ticks a second while its input is open."""

import asyncio
import os
import sys
import time

import orjson
from pydantic import PostgresDsn

from bench.market import MICROSECONDS, STOCKS, entry
from pipeline.stream import Entry
from writer.store import TickStore

RATE = 20_000
FLUSH_INTERVAL = 0.5  # seconds


async def store(dsn: str) -> float:
    """Rows a second that were committed."""
    closed = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    began, stored = time.monotonic(), 0
    async with TickStore(PostgresDsn(dsn)) as writer:
        while not closed.done():
            due = int((time.monotonic() - began) * RATE) - stored
            if refused := await writer.save(list(_entries(due))):
                raise RuntimeError(f"a row of the bench was refused: {refused[0]}")
            stored += due
            await asyncio.sleep(FLUSH_INTERVAL)
    return stored / (time.monotonic() - began)


def _entries(count: int) -> list[Entry]:
    """The latest; none of them is of the stock that is read."""
    end_us = time.time_ns() // 1000
    return [
        entry(end_us - (count - n) * MICROSECONDS // RATE, 1 + n % (STOCKS - 1), 1 + n % 9973 / 100)
        for n in range(count)
    ]


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(asyncio.run(store(os.environ["POSTGRES_DSN"]))).decode())
