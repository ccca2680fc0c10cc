"""look(): a Redis client for a test to look with; its reply types cost more than they tell."""

from typing import Any

from redis.asyncio import Redis


def look(url: str) -> Any:
    """Use in an `async with`; replies are bytes."""
    return Redis.from_url(url, protocol=2)
