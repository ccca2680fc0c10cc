"""Asking: a client of the api that asks so many times a second until SIGTERM; JSON."""

import asyncio
import os
import random
import signal
import sys
import time
from array import array
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
import uvloop

from api.ranges import rfc3339
from bench.browser import quantiles, say
from bench.load import stock_name

RANGE = timedelta(minutes=1)


@dataclass
class Asked:
    """What came of it; an answer's milliseconds are all that is kept of it."""

    statuses: Counter[str] = field(default_factory=Counter)
    took: "array[float]" = field(default_factory=lambda: array("d"))


async def ask(http: aiohttp.ClientSession, stocks: int, asked: Asked) -> None:
    """What a page and a script ask."""
    stock = stock_name(random.randrange(stocks))  # noqa: S311  # no secret
    start = rfc3339(datetime.now(UTC) - RANGE)
    what = random.choice(("latest", "average", "prices", "candles"))  # noqa: S311  # no secret
    query = {} if what == "latest" else {"start_time": start}
    began = time.perf_counter()
    async with http.get(f"/api/{what}/{stock}", params=query) as response:
        await response.read()
    asked.took.append((time.perf_counter() - began) * 1000)
    asked.statuses[str(response.status)] += 1


async def main(url: str, stocks: int, rate: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    asked, count = Asked(), 0
    async with aiohttp.ClientSession(url) as http, asyncio.TaskGroup() as tasks:
        say(event="ready")
        began = time.monotonic()
        while not stop.is_set():
            tasks.create_task(ask(http, stocks, asked))
            count += 1
            pause = began + count / rate - time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0, pause))
    seconds = time.monotonic() - began
    say(event="asked", rate=count / seconds, statuses=asked.statuses, **quantiles(asked.took))


if __name__ == "__main__":
    uvloop.run(main(os.environ["HTTP_URL"], int(sys.argv[1]), float(sys.argv[2])))
