"""Candles: what keeping them takes of what the writer stores, in pairs with and without them"""

import asyncio
import statistics
import sys
import time

import asyncpg
from pydantic import PostgresDsn

from bench.database import Database, ours
from bench.market import MICROSECONDS, STOCKS, entry
from bench.plan import Plan
from pipeline.stream import Entry
from writer.store import TickStore

BATCHES = (10_000, 30_000, 50_000)
PAIRS = 15
RATE = 10_000  # of a busy market: a batch is of one or five seconds
SWITCH = {
    True: "ALTER TABLE stock_prices ENABLE TRIGGER count_candles",
    False: "ALTER TABLE stock_prices DISABLE TRIGGER count_candles",
}


async def run(_: Plan) -> str:
    """On a server of its own, in this folder; medians, and that of each pair's quotient."""
    database = Database.tried("candles", ours())
    lines = ["| rows a batch | with, rows/s | without, rows/s | of it |", "|---:|---:|---:|---:|"]
    try:
        await asyncio.to_thread(database.create)
        await asyncio.to_thread(database.start)
        owner = await asyncpg.connect(database.owner_dsn)
        async with TickStore(PostgresDsn(database.dsn("writer"))) as store:
            for size in BATCHES:
                pairs = await _pairs(owner, store, size)
                on, off = (statistics.median(column) for column in zip(*pairs, strict=True))
                share = statistics.median(with_ / without for with_, without in pairs)
                lines.append(f"| {size:,} | {on:,.0f} | {off:,.0f} | {share:.0%} |")
                sys.stderr.write(f"{lines[-1]}\n")
        await owner.close()
    finally:
        database.remove()
    return "\n".join(lines)


async def _pairs(
    owner: "asyncpg.Connection[asyncpg.Record]", store: TickStore, size: int
) -> list[tuple[float, float]]:
    """Rows a second with candles and without, one after the other, each first in turn."""
    now_us = time.time_ns() // 1000
    taken = []
    for number in range(-1, PAIRS):
        rates = {}
        for kept in (True, False) if number % 2 else (False, True):
            await owner.execute(SWITCH[kept])
            seconds = (2 * number + kept) * size / RATE  # each batch is of a time of its own
            batch = made_batch(now_us + int(seconds * MICROSECONDS), size)
            began = time.perf_counter()
            if refused := await store.save(batch):
                raise RuntimeError(f"a row of the bench was refused: {refused[0]}")
            rates[kept] = size / (time.perf_counter() - began)
        if number >= 0:  # the first one warms up
            taken.append((rates[True], rates[False]))
    return taken


def made_batch(begin_us: int, size: int) -> list[Entry]:
    return [
        entry(begin_us + n * MICROSECONDS // RATE, n % STOCKS, 1 + n % 9973 / 100)
        for n in range(size)
    ]
