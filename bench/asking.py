"""Asking: a client of the api that asks so many times a second until SIGTERM; JSON."""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import aiohttp
import uvloop

from api.ranges import rfc3339
from bench.browser import quantiles, say
from bench.load import stock_name

RANGE = timedelta(minutes=1)


async def ask(http: aiohttp.ClientSession, stocks: int, took: list[float]) -> int:
    """The status; what is asked is what a page and a script ask."""
    stock = stock_name(random.randrange(stocks))  # noqa: S311  # no secret
    start = rfc3339(datetime.now(UTC) - RANGE)
    what = random.choice(("latest", "average", "prices", "candles"))  # noqa: S311  # no secret
    query = {} if what == "latest" else {"start_time": start}
    began = time.perf_counter()
    async with http.get(f"/api/{what}/{stock}", params=query) as response:
        await response.read()
    took.append((time.perf_counter() - began) * 1000)
    return response.status


async def main(url: str, stocks: int, rate: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    took: list[float] = []
    asked: list[asyncio.Task[int]] = []
    async with aiohttp.ClientSession(url) as http:
        say(event="ready")
        began = time.monotonic()
        while not stop.is_set():
            asked.append(asyncio.create_task(ask(http, stocks, took)))
            pause = began + len(asked) / rate - time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0, pause))
        statuses = await asyncio.gather(*asked)
    seconds = time.monotonic() - began
    say(
        event="asked",
        rate=len(asked) / seconds,
        statuses=Counter(map(str, statuses)),
        **quantiles(took),
    )


if __name__ == "__main__":
    uvloop.run(main(os.environ["HTTP_URL"], int(sys.argv[1]), float(sys.argv[2])))
