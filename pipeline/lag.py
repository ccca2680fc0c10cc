"""read_lag(), undelivered(): what a consumer group has still to do, asked of Redis."""

from time import time
from typing import Any, TypedDict, cast

from redis.asyncio import Redis

from pipeline.metrics import received_s


class Lag(TypedDict):
    """Of a group. Null: Redis doesn't know it."""

    lag_entries: int | None
    lag_seconds: float


async def read_lag(redis: Redis, stream: str, group: str) -> Lag:
    """Entries that the group hasn't acknowledged, delivered or not, and the age of the oldest.

    How many weren't delivered is null while Redis doesn't know it: from the deletion of an entry
    that was still to come until that place is passed. Their age is known all the same. What Redis
    refuses, as for a group that isn't there, is raised.
    """
    ask = cast("Any", redis.pipeline(transaction=False))  # its types don't say what is answered
    ask.xinfo_groups(stream)
    ask.xpending(stream, group)
    groups, pending = await ask.execute()
    found, unread = await _first_unread(redis, stream, group, groups)
    undelivered = found["lag"] if unread else 0
    oldest = pending["min"] or (unread[0][0] if unread else None)
    return {
        "lag_entries": None if undelivered is None else pending["pending"] + undelivered,
        "lag_seconds": age_s(oldest) if oldest else 0.0,
    }


def age_s(entry_id: bytes) -> float:
    """Seconds since it was received; never below 0, if the bridge's clock is ahead of this one."""
    return max(0.0, round(time() - received_s(entry_id), 6))


async def undelivered(redis: Redis, stream: str, group: str) -> int | None:
    """How many entries nobody of the group was given yet; None and raises as read_lag()."""
    groups: Any = await redis.xinfo_groups(stream)
    found, unread = await _first_unread(redis, stream, group, groups)
    return found["lag"] if unread else 0


async def _first_unread(
    redis: Redis, stream: str, group: str, groups: list[Any]
) -> tuple[Any, Any]:
    """What Redis says of the group, and its first undelivered entry, in a list."""
    found = {each["name"]: each for each in groups}[group.encode()]
    return found, await redis.xrange(stream, min=b"(" + found["last-delivered-id"], count=1)
