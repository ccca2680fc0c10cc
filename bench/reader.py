"""Reader: a reader of the api's kind, for as long as its input is open; milliseconds as JSON."""

import asyncio
import os
import random
import sys
import time
from datetime import UTC, datetime, timedelta

import asyncpg
import orjson

from api.database import PLANNER
from api.export import CHUNK
from api.queries import PRICES
from bench.load import stock_name
from bench.market import STOCKS, Market

PAUSE = 0.01  # seconds: some 80 questions a second, a fraction of a core
RANGE = timedelta(minutes=5)


async def read(dsn: str, market: Market) -> list[float]:
    """How long "this stock, these five minutes" took, each time."""
    closed = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    took = []
    connection = await asyncpg.connect(dsn, server_settings=PLANNER)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        while not closed.done():
            stock = stock_name(random.randrange(STOCKS))  # noqa: S311  # no secret
            us = random.uniform(market.begin_us, market.end_us)  # noqa: S311  # no secret
            start = datetime.fromtimestamp(us / 1e6, UTC)
            began = time.perf_counter()
            part = (start, -1, start + RANGE, -1)
            await connection.fetchrow(PRICES, stock, *part, CHUNK, ",", "json")
            took.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(PAUSE)
    finally:
        await connection.close()
    return took


def main() -> None:
    took = asyncio.run(read(os.environ["POSTGRES_DSN"], Market(*map(int, sys.argv[1:]))))
    sys.stdout.write(orjson.dumps(took).decode())


if __name__ == "__main__":
    main()
