"""Backlog: whether more ticks wait behind a batch; asked of Redis once for all of them."""

from contextlib import suppress
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from forwarder.settings import ForwarderSettings
from pipeline.connections import redis_outage
from pipeline.lag import undelivered
from pipeline.tick import id_pair

GROUP = "forwarder"


class Backlog:
    """What was in the stream when it was looked at."""

    def __init__(self, redis: Redis, settings: ForwarderSettings) -> None:
        self._redis = redis
        self._settings = settings
        self._end = (0, 0)

    async def goes_on(self, newest_id: bytes, count: int) -> bool:
        """Whether more is to come behind a batch of so many, up to this id; raises Outage.

        Behind a full one it is whatever is in the stream: it may be in hand already, read ahead.
        A small one has reached the stream's end, or is of our own backlog, with a lot behind it.
        """
        if id_pair(newest_id) < self._end:
            return True
        with suppress(ResponseError, KeyError), redis_outage():  # no group: nothing is to come
            if count >= self._settings.batch:
                self._end = await self._newest()
                return id_pair(newest_id) < self._end
            left = await undelivered(self._redis, self._settings.stream, GROUP)
            if left and left > self._settings.batch:
                self._end = await self._newest()
                return True
        return False

    async def _newest(self) -> tuple[int, int]:
        ask = cast("Any", self._redis)  # its types don't say what is answered
        newest = await ask.xrevrange(self._settings.stream, count=1)
        return id_pair(newest[0][0]) if newest else (0, 0)
