"""Probes: the places where a tick can be seen, and how old it is when it is seen there."""

import asyncio
import time
from typing import Any

import aiohttp
import asyncpg
import orjson
from redis.asyncio import Redis

from bench.load import stock_name
from bench.target import Target
from pipeline.tick import received_us

LOOK_EVERY = 0.05  # seconds: a row may be seen so much later than it was committed
READ_COUNT = 5000
BLOCK_MS = 1000
CHANNELS = ("prices:NYSE", "prices:NASDAQ")
NEWER_ROWS = """
SELECT (extract(epoch FROM timestamp) * 1000000)::bigint AS received_us
FROM stock_prices
WHERE stock_name = $1 AND timestamp > to_timestamp($2::bigint / 1000000.0)
"""

Ages = list[float]
"""Milliseconds from the receipt by the bridge, which is the entry id's time, to the sight."""


async def watch_stream(target: Target, ages: Ages) -> None:
    """A reader that waits at the stream's end, as the forwarder does."""
    last: bytes | str = "$"
    async with Redis.from_url(target.redis_url, protocol=2) as redis:
        while True:
            reply: Any = await redis.xread({"ticks": last}, count=READ_COUNT, block=BLOCK_MS)
            now = now_us()
            for _, entries in reply or []:
                ages += [(now - received_us(entry_id)) / 1000 for entry_id, _ in entries]
                last = entries[-1][0]


async def watch_feed(target: Target, ages: Ages) -> None:
    """A WebSocket client through nginx, as the page is one."""
    origin = {"Origin": target.http_url}
    async with (
        aiohttp.ClientSession(headers=origin) as http,
        http.ws_connect(f"{target.http_url}/connection/websocket") as socket,
    ):
        await socket.send_json({"id": 1, "connect": {}})
        for number, channel in enumerate(CHANNELS, start=2):
            await socket.send_json({"id": number, "subscribe": {"channel": channel}})
        async for message in socket:
            now = now_us()
            for push in map(orjson.loads, message.data.splitlines()):
                if not push:
                    await socket.send_str("{}")  # Centrifugo asks whether we are still there
                elif publication := push.get("push", {}).get("pub"):
                    ages += [(now - tick[3]) / 1000 for tick in publication["data"]["ticks"]]
    raise ConnectionError(f"the feed closed the connection: {socket.close_code}")


async def watch_table(target: Target, ages: Ages) -> None:
    """The rows of one stock: every commit has some, so they are a fair sample."""
    newest = now_us()
    connection = await asyncpg.connect(target.postgres_dsn)
    try:
        while True:
            rows = await connection.fetch(NEWER_ROWS, stock_name(0), newest)
            now = now_us()
            received = [row["received_us"] for row in rows]
            ages += [(now - each) / 1000 for each in received]
            newest = max([newest, *received])
            await asyncio.sleep(LOOK_EVERY)
    finally:
        await connection.close()


def now_us() -> int:
    """The clock that the bridge makes entry ids from; so it must be this machine's."""
    return time.time_ns() // 1000
