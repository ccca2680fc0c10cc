"""look(): a Redis client for a test to look with; its reply types cost more than they tell."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Connection, ConnectionPool, Redis


class _Following(Connection):
    """Asks at each connect where the server is: a container that restarted may have moved."""

    def __init__(self, *, where: Callable[[], str], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._where = where

    async def _connect(self) -> None:
        url = urlsplit(self._where())
        self.host, self.port = url.hostname or "", url.port or 6379
        await super()._connect()  # type: ignore[no-untyped-call]  # redis-py types most of itself


def look(url: str | Callable[[], str]) -> Any:
    """Use in an `async with`; replies are bytes. A url that changes is given as a function."""
    if isinstance(url, str):
        return Redis.from_url(url, protocol=2)
    pool = ConnectionPool.from_url(url(), protocol=2, connection_class=_Following, where=url)
    return Redis.from_pool(pool)
