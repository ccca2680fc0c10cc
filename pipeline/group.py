"""Group: a consumer group's commands on the tick stream; made again whenever it is missing."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from pipeline.connections import redis_outage
from pipeline.events import beat, emit
from pipeline.settings import StreamSettings

ACKS_IN_ONE_CALL = 10_000
BEGINNING = b"0"  # of what is pending with the reader
NEW = b">"


class Group:
    """Every call raises Outage."""

    def __init__(self, redis: Redis, name: str, settings: StreamSettings) -> None:
        self._redis = cast("Any", redis)  # redis-py's reply types cost more than they tell
        # Its own callback makes a dict of every entry, at nine times the cost of the reply itself.
        self._redis.set_response_callback("XREADGROUP", lambda reply, **_: reply)
        self._name = name
        self._settings = settings

    async def read(
        self, consumer: str, after: bytes, count: int, block: timedelta | None
    ) -> list[Any]:
        """Entries as redis sent them; an empty list when there is none or the group is new."""
        command: list[Any] = ["XREADGROUP", "GROUP", self._name, consumer, "COUNT", count]
        if block is not None:
            command += ["BLOCK", max(1, int(block.total_seconds() * 1000))]
        command += ["STREAMS", self._settings.stream, after]
        try:
            with redis_outage():
                reply = await self._redis.execute_command(*command)
        except ResponseError as error:
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            emit("stream.reset", group=self._name)
            await self.ensure()
            return []
        beat(self._settings.heartbeat_file)  # an empty read is progress too: the market is quiet
        return reply[0][1] if reply else []

    async def acknowledge(self, ids: Sequence[bytes]) -> None:
        with redis_outage():
            for begin in range(0, len(ids), ACKS_IN_ONE_CALL):
                some = ids[begin : begin + ACKS_IN_ONE_CALL]
                await self._redis.xack(self._settings.stream, self._name, *some)

    async def ensure(self) -> None:
        """From the beginning: what was appended before us is ours as well."""
        if await self._is_there():  # a full Redis refuses to create even what is there
            return
        try:
            with redis_outage():
                await self._redis.xgroup_create(
                    self._settings.stream, self._name, id="0", mkstream=True
                )
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        else:
            emit("stream.group_created", group=self._name)

    async def _is_there(self) -> bool:
        try:
            with redis_outage():
                groups = await self._redis.xinfo_groups(self._settings.stream)
        except ResponseError:  # no key, or another type's: creating the group will tell
            return False
        return self._name.encode() in {group["name"] for group in groups}
