"""Browser: a WebSocket client of the live feed as the page is one; says what came, and how old."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
import orjson
import uvloop

from bench.load import number_of
from bench.numbers import Numbers

CHANNELS = ("prices:NYSE", "prices:NASDAQ")
QUIET = 0.5  # seconds without a message: all that was sent is here
LARGEST = 64 << 20  # bytes in a frame
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}

Frames = list[tuple[int, bytes]]
"""When each came, in µs of the clock that the bridge makes ids from, and its bytes."""


async def follow(url: str, frames: Frames) -> None:
    """Until SIGTERM and some quiet. Read later: what takes time here would count as latency."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/connection/websocket", max_msg_size=LARGEST) as socket,
    ):
        await socket.send_json({"id": 1, "connect": {}})
        for number, channel in enumerate(CHANNELS, start=2):
            await socket.send_json({"id": number, "subscribe": {"channel": channel}})
        say(event="ready")
        reading = asyncio.ensure_future(_read(socket, frames))
        await asyncio.wait(
            {reading, asyncio.ensure_future(stopping.wait())}, return_when="FIRST_COMPLETED"
        )
        seen = -1
        while seen < len(frames) and not reading.done():
            seen = len(frames)
            await asyncio.wait({reading}, timeout=QUIET)
        if reading.done():
            say(event="closed", code=socket.close_code)
        reading.cancel()


async def _read(socket: aiohttp.ClientWebSocketResponse, frames: Frames) -> None:
    async for message in socket:
        frames.append((time.time_ns() // 1000, message.data.encode()))
        if "{}" in message.data.splitlines():  # Centrifugo asks whether we are still there
            await socket.send_str("{}")


def report(frames: Frames, count: int, stocks: int) -> dict[str, Any]:
    """Of a load of `count` messages."""
    numbers = Numbers()
    ages, skipped, publications = [], 0, 0
    for now, data in _publications(frames):
        publications += 1
        skipped += data["skipped"]
        numbers.see((stock, number_of(price)) for _, stock, price, _ in data["ticks"])
        ages += [(now - received) / 1000 for *_, received in data["ticks"]]
    return {
        "ticks": len(ages),
        "publications": publications,
        "bytes": sum(len(frame) for _, frame in frames),
        "skipped": skipped,
        "missing": numbers.missing(count, stocks),
        "twice": numbers.twice,
        "late": numbers.late,
        "ages": quantiles(ages),
    }


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and max; nothing of nothing."""
    ordered, last = sorted(values), len(values) - 1
    return {name: ordered[int(last * share)] for name, share in SHARES.items()} if values else {}


def _publications(frames: Frames) -> Iterator[tuple[int, dict[str, Any]]]:
    for now, frame in frames:
        for line in frame.splitlines():
            push = orjson.loads(line).get("push", {})
            if "pub" in push:
                yield now, push["pub"]["data"]


def say(**line: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    collected: Frames = []
    uvloop.run(follow(os.environ["FEED_URL"], collected))
    say(event="seen", **report(collected, *map(int, sys.argv[1:])))
