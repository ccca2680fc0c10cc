"""Database: PostgreSQL as the api sees it; few connections, limited waits, absence is an Outage."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from api.settings import ApiSettings
from api.watch import Watch
from pipeline.outage import Outage

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

# Two admissions, a connection and a sign of life: all that an answer may wait for is below 5 s.
ADMISSION = 0.9
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


class Busy(Exception):
    """The database is asked as much at once as it may be."""


class SlowQuery(Exception):
    """The query took longer than one may."""


class Database:
    """Lends connections; whoever gets one knows that the server has just answered on it."""

    def __init__(self, pool: "asyncpg.Pool[Row]", reset: "_Reset", settings: ApiSettings) -> None:
        self._pool = pool
        self._reset = reset
        self._watch = Watch("postgres")
        half = settings.api_pool_size // 2
        self._all = asyncio.Semaphore(settings.api_pool_size)
        self._pieces = asyncio.Semaphore(half)
        self._ranges = asyncio.Semaphore(half)

    @asynccontextmanager
    async def connection(self, patience: float = ADMISSION) -> AsyncIterator[Connection]:
        """For questions of a moment: whatever the others do, connections are left for these."""
        async with _admission(self._all, patience):
            with self._watch.noticing(), _absence():
                async with self._pool.acquire(timeout=ANSWER) as connection:
                    with _given_up_on_silence(connection), self._reset.noting(connection):
                        # A server that hangs is found out here, not after the statement timeout.
                        await connection.execute("SELECT 1", timeout=ANSWER)
                        yield connection

    def for_piece(self, patience: float = ADMISSION) -> AbstractAsyncContextManager[Connection]:
        """For a piece of a long answer: quick, but there may be many and of many answers."""
        return self._of_half(self._pieces, patience)

    def for_range(self) -> AbstractAsyncContextManager[Connection]:
        """For a question that takes the longer, the more it is about."""
        return self._of_half(self._ranges, ADMISSION)

    @asynccontextmanager
    async def _of_half(self, half: asyncio.Semaphore, patience: float) -> AsyncIterator[Connection]:
        async with _admission(half, patience), self.connection(patience) as connection:
            yield connection


@asynccontextmanager
async def open_database(settings: ApiSettings) -> AsyncIterator[Database]:
    """Needs no PostgreSQL: connections are made when they are asked for."""
    reset = _Reset()
    limit = settings.api_statement_timeout.total_seconds()
    pool = await asyncpg.create_pool(
        str(settings.postgres_dsn),
        min_size=0,
        max_size=settings.api_pool_size,
        timeout=ANSWER,
        command_timeout=limit + ANSWER,  # a server that no longer keeps its own limit
        reset=reset,
        server_settings=PLANNER | {"statement_timeout": f"{limit * 1000:.0f}"},
    )
    try:
        yield Database(pool, reset, settings)
    finally:
        try:
            await asyncio.wait_for(pool.close(), CLOSE_LIMIT)
        except TimeoutError:
            pool.terminate()


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
    except TimeoutError:
        with suppress(asyncpg.InterfaceError):  # asyncpg has given it up already
            connection.terminate()
        raise


@contextmanager
def _absence() -> Iterator[None]:
    """Tell what can be mended from what can't; anything else stays a bug."""
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise SlowQuery from error
    except asyncpg.DataError:
        raise
    except _AWAY as error:
        raise Outage("postgres", str(error) or "no answer") from error
