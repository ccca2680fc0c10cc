"""consume(): a consumer in the test's own process, and what its tests look at."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import orjson
import pytest

from pipeline.connections import connect
from pipeline.settings import StreamSettings
from pipeline.stream import Consumer, Entry, Gathering, Handler, Rejected

GROUP = "g"
AT_ONCE = Gathering(limit=1000)
AT_MOST_TEN = Gathering(limit=10)
LIMIT = 20.0

Named = Callable[..., StreamSettings]


def stream_settings(url: str, stream: str, **more: object) -> StreamSettings:
    short = {"consumer": "one", "block": timedelta(seconds=0.1)}
    return StreamSettings.model_validate({"redis_url": url, "stream": stream} | short | more)


async def append(redis: Any, stream: str, *messages: str) -> list[bytes]:
    return [
        await redis.xadd(stream, {"channel": "NYSE", "message": message}) for message in messages
    ]


async def pending(redis: Any, stream: str) -> int:
    return int((await redis.xpending(stream, GROUP))["pending"])


async def is_pending(redis: Any, stream: str, entries: int) -> bool:
    return await pending(redis, stream) == entries


async def consume(
    settings: StreamSettings,
    until: Callable[[list[Entry]], bool],
    handle: Handler | None = None,
    gathering: Gathering = AT_ONCE,
) -> list[Entry]:
    """Run a consumer until what it handled satisfies `until` and is acknowledged."""
    seen: list[Entry] = []
    stop = asyncio.Event()

    async def note(batch: Sequence[Entry]) -> Sequence[Rejected]:
        rejected = await handle(batch) if handle else ()
        seen.extend(batch)
        if until(seen):
            stop.set()
        return rejected

    async with connect(settings) as redis, asyncio.timeout(LIMIT):
        await Consumer(redis, GROUP, settings, gathering).run(note, stop)
    return seen


async def crash(_: Sequence[Entry]) -> Sequence[Rejected]:
    raise ZeroDivisionError


async def refuse(batch: Sequence[Entry]) -> Sequence[Rejected]:
    return [Rejected(entry, "it is bad") for entry in batch]


def ids(entries: Sequence[Entry]) -> list[bytes]:
    return [entry[0] for entry in entries]


def events(capsys: pytest.CaptureFixture[str], name: str) -> list[dict[str, Any]]:
    lines = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line["event"] == name]


async def left_by(name: str, redis: Any, stream: str, *messages: str) -> list[bytes]:
    """Entries delivered to somebody who doesn't live any more."""
    await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
    left = await append(redis, stream, *messages)
    await redis.xreadgroup(GROUP, name, {stream: ">"})
    return left


async def consumers(redis: Any, stream: str) -> set[bytes]:
    return {each["name"] for each in await redis.xinfo_consumers(stream, GROUP)}


def alive(stream: str, name: str) -> str:
    return f"{{{stream}}}:alive:{GROUP}:{name}"


async def has_group(redis: Any, stream: str) -> bool:
    return bool(await redis.exists(stream) and await redis.xinfo_groups(stream))
