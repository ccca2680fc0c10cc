"""Database: PostgreSQL as the api sees it; few connections, limited waits, absence is an Outage."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from api.settings import ApiSettings
from api.watch import Watch
from pipeline.outage import Outage

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

ANSWER = 1.5
CLOSE_LIMIT = 1.0

# Every query walks the one index in its own order. The planner doubts that for wide ranges, as its
# statistics know nothing of the order within one stock: it would sort first and stream later.
PLANNER = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",  # only with the times known are partitions left out
}

# What waiting, or an operator, can mend: the server, its database, our login and its grants.
_AWAY = (
    OSError,  # TimeoutError is one
    asyncpg.InterfaceError,  # asyncpg's word for a connection that has closed
    asyncpg.InternalClientError,  # and for one that was lost between two steps
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedTableError,
)

Row: TypeAlias = "asyncpg.Record"
Connection: TypeAlias = "PoolConnectionProxy[Row]"


@dataclass(frozen=True)
class Server:
    """One PostgreSQL, and the seconds that a question waits for its turn and for a sign of life."""

    name: str
    dsn: str
    admission: float
    answer: float


def primary_server(settings: ApiSettings) -> Server:
    """Two admissions, a connection and a sign of life: what an answer waits for is below 5 s."""
    return Server("postgres", str(settings.postgres_dsn), 0.9, ANSWER)


def replica_server(settings: ApiSettings) -> Server:
    """Given up sooner, since the primary is asked instead."""
    return Server("replica", str(settings.postgres_read_dsn), 0.2, 1.0)


class Busy(Exception):
    """The database is asked as much at once as it may be."""


class SlowQuery(Exception):
    """The query took longer than one may."""


class Database:
    """Lends connections; whoever gets one knows that the server has just answered on it."""

    def __init__(
        self, server: Server, pool: "asyncpg.Pool[Row]", reset: "_Reset", settings: ApiSettings
    ) -> None:
        self.server = server
        self._pool = pool
        self._reset = reset
        self._begin = _transaction(settings) if settings.postgres_pooled else None
        self._watch = Watch(server.name)
        half = settings.api_pool_size // 2
        self._all = asyncio.Semaphore(settings.api_pool_size)
        self._pieces = asyncio.Semaphore(half)
        self._ranges = asyncio.Semaphore(half)

    @asynccontextmanager
    async def connection(self, patience: float | None = None) -> AsyncIterator[Connection]:
        """For questions of a moment: whatever the others do, connections are left for these."""
        async with _admission(self._all, patience or self.server.admission):
            with self._watch.noticing(), _absence(self.server.name):
                async with self._pool.acquire(timeout=self.server.answer) as connection:
                    with _given_up_on_silence(connection), self._reset.noting(connection):
                        # A server that hangs is found out here, not after the statement timeout.
                        first = self._begin or "SELECT 1"
                        await connection.execute(first, timeout=self.server.answer)
                        try:
                            yield connection
                        finally:
                            if self._begin and not connection.is_closed():
                                await connection.execute("COMMIT", timeout=self.server.answer)

    def for_piece(self, patience: float | None = None) -> AbstractAsyncContextManager[Connection]:
        """For a piece of a long answer: quick, but there may be many and of many answers."""
        return self._of_half(self._pieces, patience)

    def for_range(self) -> AbstractAsyncContextManager[Connection]:
        """For a question that takes the longer, the more it is about."""
        return self._of_half(self._ranges, None)

    @asynccontextmanager
    async def _of_half(
        self, half: asyncio.Semaphore, patience: float | None
    ) -> AsyncIterator[Connection]:
        limit = patience or self.server.admission
        async with _admission(half, limit), self.connection(limit) as connection:
            yield connection


@asynccontextmanager
async def open_database(settings: ApiSettings, server: Server) -> AsyncIterator[Database]:
    """Needs no PostgreSQL: connections are made when they are asked for."""
    reset = _Reset()
    limit = settings.api_statement_timeout.total_seconds()
    # A pooler passes on no settings, and keeps no statement for the next transaction.
    pooled: dict[str, Any] = {"statement_cache_size": 0}
    own: dict[str, Any] = {"server_settings": _session(settings)}
    pool = await asyncpg.create_pool(
        server.dsn,
        min_size=0,
        max_size=settings.api_pool_size,
        timeout=server.answer,
        command_timeout=limit + ANSWER,  # a server that no longer keeps its own limit
        reset=reset,
        **(pooled if settings.postgres_pooled else own),
    )
    try:
        yield Database(server, pool, reset, settings)
    finally:
        try:
            await asyncio.wait_for(pool.close(), CLOSE_LIMIT)
        except TimeoutError:
            pool.terminate()


def _session(settings: ApiSettings) -> dict[str, str]:
    limit = settings.api_statement_timeout.total_seconds()
    return PLANNER | {"statement_timeout": f"{limit * 1000:.0f}"}


def _transaction(settings: ApiSettings) -> str:
    """One round trip, as the sign of life that it is instead of."""
    local = (f"SET LOCAL {name} = '{value}'" for name, value in _session(settings).items())
    return "; ".join(("BEGIN READ ONLY", *local))


class _Reset:
    """No query here changes its session; the pool's own would be one more round trip each time.

    But asyncpg ends no transaction of a question that is cancelled between its parse and its
    execution: an idle connection would keep the locks. Any other question ends it.
    """

    def __init__(self) -> None:
        self._cancelled: set[int] = set()  # servers' process ids

    @contextmanager
    def noting(self, connection: Connection) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            self._cancelled.add(connection.get_server_pid())
            raise

    async def __call__(self, connection: "asyncpg.Connection[Row]") -> None:
        pid = connection.get_server_pid()
        if pid in self._cancelled:
            self._cancelled.discard(pid)
            await connection.execute("SELECT 1", timeout=ANSWER)


@asynccontextmanager
async def _admission(semaphore: asyncio.Semaphore, patience: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(patience):
            await semaphore.acquire()
    except TimeoutError:
        raise Busy from None
    try:
        yield
    finally:
        semaphore.release()


@contextmanager
def _given_up_on_silence(connection: Connection) -> Iterator[None]:
    """Else the pool would wait for the silent server as well."""
    try:
        yield
    except (TimeoutError, asyncpg.InternalClientError):
        with suppress(asyncpg.InterfaceError):  # asyncpg has given it up already
            connection.terminate()
        raise


@contextmanager
def _absence(name: str) -> Iterator[None]:
    """Tell what can be mended from what can't; anything else stays a bug."""
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise SlowQuery from error
    except asyncpg.DataError:
        raise
    except _AWAY as error:
        raise Outage(name, str(error) or "no answer") from error
