"""read_status(): how far the stream and its readers are, as Redis knows it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import exceptions
from redis.asyncio import Redis

from api.ranges import rfc3339
from api.settings import ApiSettings
from api.shapes import Gap, Gaps, Group, Stream
from api.status_sum import RedisStatus, in_sum
from api.watch import Unusable
from pipeline.connections import redis_outage
from pipeline.lag import age_s, read_lag
from pipeline.shards import connect_each

LIMIT = 2.0  # seconds; a status that comes late is no status

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_STREAM = {"length": 0, "entries-added": 0, "last-generated-id": b"0-0", "last-entry": None}

Reply = Any  # redis-py's types don't say what a command answers


Streams = Collection[tuple[ApiSettings, Redis]]
"""Of each shard its settings, and a client of the Redis that has it."""


@asynccontextmanager
async def connect_all(settings: ApiSettings) -> AsyncIterator[Streams]:
    """Clients for as long as the context lasts; a Redis that is away shows when it is asked."""
    async with connect_each(settings.model_copy(update={"shard": None})) as shards:
        yield shards.values()


async def check_redis(streams: Streams) -> None:
    """Raises Outage."""
    with redis_outage():
        async with asyncio.timeout(LIMIT):
            await asyncio.gather(*(redis.ping() for _, redis in streams))


async def read_status(streams: Streams) -> RedisStatus:
    """Of all shards, in sum. Raises Outage.

    What doesn't exist yet is empty, a group too: it will begin at the start.
    """
    with _usable(), redis_outage():
        async with asyncio.timeout(LIMIT):
            return in_sum(await asyncio.gather(*(_read_one(*each) for each in streams)))


async def _read_one(settings: ApiSettings, redis: Redis) -> RedisStatus:
    places = ("bridge", *settings.stream_groups)
    replies = await _ask(redis, settings, places)
    stream, found, gaps, lost = (
        _unless_missing(reply, nothing)
        for reply, nothing in zip(replies, (_NO_STREAM, [], _NO_STREAM, {}), strict=False)
    )
    known = {group["name"]: group for group in found}
    groups = [
        await _group(redis, settings.stream, stream, name, known.get(name.encode()))
        for name in settings.stream_groups
    ]
    return RedisStatus(
        groups,
        Stream(
            length=stream["length"],
            appended=stream["entries-added"],
            last_id=stream["last-generated-id"].decode(),
        ),
        Gaps(count=gaps["entries-added"], last=_gap(gaps["last-entry"])),
        dict(zip(places, (_unless_missing(reply, 0) for reply in replies[4:]), strict=True)),
        {name: int(lost.get(name.encode(), 0)) for name in settings.stream_groups},
    )


async def _ask(redis: Redis, settings: ApiSettings, places: tuple[str, ...]) -> list[Reply]:
    """All in one round trip; an error is the reply to its own command only."""
    ask: Reply = redis.pipeline(transaction=False)
    ask.xinfo_stream(settings.stream)
    ask.xinfo_groups(settings.stream)
    ask.xinfo_stream(settings.helper_key("gaps"))
    ask.hgetall(settings.helper_key("overrun"))
    for place in places:
        ask.xlen(settings.helper_key("dead", place))
    replies: list[Reply] = await ask.execute(raise_on_error=False)
    return replies


@contextmanager
def _usable() -> Iterator[None]:
    """Anybody can write these keys: a status is for finding that out, and must not fail of it."""
    try:
        yield
    except (exceptions.ResponseError, KeyError, ValueError, OverflowError) as error:
        raise Unusable("redis", f"{type(error).__name__}: {error}") from error


async def _group(redis: Redis, key: str, stream: Reply, name: str, group: Reply | None) -> Group:
    if group:
        lag = await read_lag(redis, key, name)
        return Group(name=name, **lag, pending=group["pending"], consumers=group["consumers"])
    oldest: Reply = await redis.xrange(key, count=1)
    return Group(
        name=name,
        lag_entries=stream["length"],
        lag_seconds=age_s(oldest[0][0]) if oldest else 0.0,
        pending=0,
        consumers=0,
    )


def _gap(entry: Reply | None) -> Gap | None:
    if not entry:
        return None
    _, fields = entry
    start, end = (
        rfc3339(_EPOCH + timedelta(microseconds=int(fields[name])))
        for name in (b"from_us", b"to_us")
    )
    return Gap(
        start_time=start,
        end_time=end,
        seconds=float(fields[b"seconds"]),
        reason=fields[b"reason"].decode(),
    )


def _unless_missing(reply: Reply, nothing: Reply) -> Reply:
    if isinstance(reply, exceptions.ResponseError) and "no such key" in str(reply):
        return nothing
    if isinstance(reply, Exception):
        raise reply
    return reply
