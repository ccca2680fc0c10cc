"""A bridge as a real process on a market of its own, and what its tests look at."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.meanwhile import meanwhile
from tests.services import Service, StartService
from tests.waiting import wait_until

LOAD_TOGETHER, LOAD_PAUSE = 20, 0.01  # below the 5,000 a second that a shared machine bears


def channel_of(stream: str) -> str:
    """Pub/sub knows no databases: each test has its own market."""
    return f"NYSE-{stream}"


def another(service: StartService, url: str, stream: str, **more: object) -> Service:
    """A bridge, perhaps beside another one."""
    return service("bridge", REDIS_URL=url, STREAM=stream, CHANNELS=channel_of(stream), **more)


async def start(service: StartService, url: str, stream: str, **more: object) -> Service:
    """A bridge that has the lease and hears the channel."""
    bridge = another(service, url, stream, **more)
    await bridge.wait_for("lease.taken")
    return bridge


async def publish(redis: Any, stream: str, *messages: bytes) -> None:
    async with redis.pipeline(transaction=False) as batch:
        for message in messages:
            batch.publish(channel_of(stream), message)
        await batch.execute()


async def messages(redis: Any, stream: str) -> list[bytes]:
    return [fields[b"message"] for _, fields in await redis.xrange(stream)]


async def appended(redis: Any, stream: str) -> int:
    if not await redis.exists(stream):
        return 0
    info: dict[str, Any] = await redis.xinfo_stream(stream)
    return int(info["entries-added"])


async def have_appended(redis: Any, stream: str, count: int) -> None:
    async def enough() -> bool:
        return await appended(redis, stream) >= count

    await wait_until(enough, what=f"{count} entries appended")


def numbered(begin: int, end: int) -> list[bytes]:
    return [b"A:%d" % number for number in range(begin, end)]


@asynccontextmanager
async def load(redis: Any, stream: str) -> AsyncIterator[list[int]]:
    """Numbered messages without a pause; the list's last is the highest that was sent."""
    sent = [-1]

    async def send(over: asyncio.Event) -> None:
        while not over.is_set():
            first = sent[-1] + 1
            await publish(redis, stream, *numbered(first, first + LOAD_TOGETHER))
            sent.append(first + LOAD_TOGETHER - 1)
            await asyncio.sleep(LOAD_PAUSE)

    async with meanwhile(send):
        yield sent


async def reaches(redis: Any, stream: str, number: int) -> bool:
    """A message with that number, or a later one, is the newest."""
    last = await redis.xrevrange(stream, count=1)
    return bool(last) and int(last[0][1][b"message"].split(b":")[1]) >= number
