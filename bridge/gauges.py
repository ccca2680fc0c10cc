"""read_gauges(): how full Redis and the stream are."""

from typing import Any

from redis.asyncio import Redis


async def read_gauges(redis: Redis, stream: str, limit: int) -> dict[str, int | None]:
    """`limit`: entries that the stream may have. Null as that of the memory: there is none."""
    memory: Any = await redis.info("memory")
    return {
        "stream_length": await redis.xlen(stream),
        "stream_max_entries": limit,
        "redis_memory_bytes": memory["used_memory"],
        "redis_memory_limit_bytes": memory["maxmemory"] or None,
    }
