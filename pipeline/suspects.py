"""Suspects: entries delivered suspiciously often, tried one by one to find the one that kills."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from pipeline.connections import redis_outage
from pipeline.events import emit
from pipeline.outage import Outage
from pipeline.settings import StreamSettings

SUSPICIOUS = 5  # deliveries. They aren't deaths: a batch and four restarts make as many
DEATHS = 3  # of processes that had this one entry in hand and no other
MARKS_LIVE = 24 * 3600  # seconds; what was acknowledged by another way leaves its mark behind

REASON = f"{DEATHS} processes ended while each was handling this entry alone"

# KEYS: the marks. ARGV: entry, our token, deaths from which on it isn't tried, life of the marks.
# Returns how many others marked it and didn't live to clear that. A mark is how many processes set
# it, and the newest one's token. HDEL comes first since a full Redis lets a script go on that has
# written, and refuses its HSET otherwise: for want of a mark nothing would be trimmed any more.
_MARK = """
local mark = redis.call('HGET', KEYS[1], ARGV[1]) or '0 '
local processes, newest = string.match(mark, '(%d+) (.*)')
local deaths = processes - (newest == ARGV[2] and 1 or 0)
redis.call('HDEL', KEYS[1], ARGV[1])
if deaths < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], ARGV[1], (deaths + 1) .. ' ' .. ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return deaths
"""

T = TypeVar("T")


class Suspects:
    """A mark says who tries an entry alone: it stays only if that process ends meanwhile."""

    def __init__(self, redis: Redis, group: str, settings: StreamSettings, token: str) -> None:
        self._redis = cast("Any", redis)  # redis-py's reply types cost more than they tell
        self._group = group
        self._stream = settings.stream
        self._key = settings.helper_key("suspect", group)
        self._token = token

    async def among(self, ids: Sequence[bytes], consumer: str) -> set[bytes]:
        """Those of a backlog's entries, oldest first, that were delivered suspiciously often."""
        try:
            with redis_outage():
                found = await self._redis.xpending_range(
                    self._stream, self._group, ids[0], ids[-1], len(ids), consumername=consumer
                )
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            return set()  # flushed since we read them: the next read finds out
        suspects = {e["message_id"] for e in found if e["times_delivered"] >= SUSPICIOUS}
        if suspects:
            emit("stream.suspects", group=self._group, entries=len(suspects), of=len(ids))
        return suspects

    async def attempt(
        self, entry_id: bytes, handle: Callable[[], Awaitable[Sequence[T]]]
    ) -> Sequence[T] | None:
        """What `handle` returns; None, and no attempt, for an entry that has killed too often."""
        if await self._mark(entry_id) >= DEATHS:
            return None
        try:
            result = await handle()
        except (Outage, asyncio.CancelledError):  # a neighbour's fault, or a stop: not the entry's
            await self._clear(entry_id)
            raise
        await self._clear(entry_id)
        return result

    async def _mark(self, entry_id: bytes) -> int:
        with redis_outage():
            arguments = (entry_id, self._token, DEATHS, MARKS_LIVE)
            return int(await self._redis.eval(_MARK, 1, self._key, *arguments))

    async def _clear(self, entry_id: bytes) -> None:
        with redis_outage():
            await self._redis.hdel(self._key, entry_id)
