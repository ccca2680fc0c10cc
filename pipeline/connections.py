"""connect(): the one way to open Redis; its timeouts, no hidden retries, errors as Outages."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import hiredis
from redis import exceptions
from redis.asyncio import Connection, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pipeline.nodes import locate
from pipeline.outage import Outage
from pipeline.settings import Settings

CONNECT_TIMEOUT = 3.0
REPLY_TIMEOUT = 10.0  # above every block time, and a dead socket is noticed well within 15 s

# The stream has gone to another node, or this one is no longer its master.
_MOVED = (
    exceptions.MovedError,
    exceptions.AskError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,  # MASTERDOWN too; it may be this node alone that thinks so
)

# Replies that say "not now" rather than "never": waiting, or an operator, can mend them.
_PASSING = (
    exceptions.ConnectionError,  # wrong credentials and LOADING too
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.NoPermissionError,
    exceptions.TryAgainError,
    *_MOVED,
    OSError,
)
_PASSING_CODES = (
    "MISCONF",
    "NOREPLICAS",
    "UNBLOCKED force",  # a master becomes a replica; of a stream that is gone it is no outage
    "BUSY ",
    "UNKILLABLE",
)


class _Connection(Connection):
    def pack_command(self, *args: Any) -> list[bytes]:
        """In C: theirs took a seventh of a forwarder's time, as it acknowledges by thousands."""
        name, *others = args  # theirs looks at each of the others before
        return [hiredis.pack_command((*name.encode().split(), *others))]


class _Following(Connection):
    """Each time it connects, it asks where the stream's master is."""

    def __init__(self, *, settings: Settings, **options: Any) -> None:
        super().__init__(**options)
        self._settings = settings

    async def _connect(self) -> None:
        self.host, self.port = (await locate(self._settings)).master
        await super()._connect()  # type: ignore[no-untyped-call]  # it has no types

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except exceptions.ResponseError as error:
            if isinstance(error, _MOVED) or str(error).startswith("NOREPLICAS"):
                await self.disconnect(nowait=True)
            raise


class _FollowingPlain(_Following, _Connection):
    pass


class _FollowingTls(_Following, SSLConnection):
    pass


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Redis]:
    """A client that raises at once; who waits, and how long, is `persist`'s to decide.

    In a cluster it is one of the stream's master, wherever that is; so is any key beside it.
    """
    client = Redis.from_url(
        str(settings.redis_url),
        socket_timeout=REPLY_TIMEOUT,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_keepalive=True,
        # redis-py repeats every command by itself: an XADD stored twice, a delivery forgotten
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        connection_class=_Connection,  # not with TLS, which has its own
    )
    if settings.follows:
        pool = client.connection_pool
        is_tls = issubclass(pool.connection_class, SSLConnection)
        pool.connection_class = _FollowingTls if is_tls else _FollowingPlain
        pool.connection_kwargs["settings"] = settings
    try:
        yield client
    finally:
        await client.aclose()


@contextmanager
def redis_outage() -> Iterator[None]:
    """Turn what waiting can mend into an Outage; anything else stays a bug."""
    try:
        yield
    except _PASSING as error:
        raise Outage("redis", str(error) or type(error).__name__) from error
    except exceptions.ResponseError as error:
        # The last: a script's word for a slot that is on its way to another node.
        if str(error).startswith(_PASSING_CODES) or "non local key" in str(error):
            raise Outage("redis", str(error)) from error
        raise
