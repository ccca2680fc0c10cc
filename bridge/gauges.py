"""read_gauges(): how full Redis and the stream are."""

from typing import Any

from redis.asyncio import Redis


async def read_gauges(redis: Redis, stream: str) -> dict[str, int | None]:
    """Null as the limit: there is none."""
    memory: Any = await redis.info("memory")
    return {
        "stream_length": await redis.xlen(stream),
        "redis_memory_bytes": memory["used_memory"],
        "redis_memory_limit_bytes": memory["maxmemory"] or None,
    }
