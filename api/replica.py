"""Replica: a second PostgreSQL that only reads, and which answers it has all the rows of."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Literal, NamedTuple, TypeVar

import asyncpg

from api.database import (
    ANSWER,
    Busy,
    Connection,
    Database,
    Row,
    SlowQuery,
    open_database,
    primary_server,
    replica_server,
)
from api.freshness import settled_at
from api.queries import UnknownStock
from api.ranges import AskedRange
from api.settings import ApiSettings
from pipeline.events import emit
from pipeline.outage import Outage, pause

LOOK_EVERY = 1.0  # seconds
BEHIND = 5.0  # seconds of lag that are worth telling

# What anybody can see on the primary is in its log up to there. NULL: it is itself a replica.
WRITTEN = """
SELECT (CASE
  WHEN pg_is_in_recovery() THEN NULL
  WHEN current_setting('synchronous_commit') = 'off' THEN pg_current_wal_insert_lsn()
  ELSE pg_current_wal_flush_lsn()
END - '0/0'::pg_lsn)::bigint
"""

# What the replica shows: all of the log up to there, and all that was committed until then.
REPLAYED = """
SELECT coalesce(pg_last_wal_replay_lsn() - '0/0'::pg_lsn, 0)::bigint AS position,
       pg_last_xact_replay_timestamp() AS at
WHERE pg_is_in_recovery()
"""

# The same for a primary and all that follow it, and no other.
CLUSTER = "SELECT system_identifier FROM pg_control_system()"

T = TypeVar("T")
Question = Callable[[Connection], Awaitable[T]]
Lend = Callable[[Database], AbstractAsyncContextManager[Connection]]
State = Literal["ok", "behind", "away"]


class NotYet(Exception):
    """The replica lacks something that the primary may show."""


# It is away, has too much to do, is behind, may not know the stock yet, ended a query that was in
# the way of what it replays, or has no function yet that a new release asks.
NOT_THERE = (
    Outage,
    Busy,
    NotYet,
    UnknownStock,
    asyncpg.TransactionRollbackError,
    asyncpg.SyntaxOrAccessError,
)


class _Awaited(NamedTuple):
    since: float
    position: int


class Replica:
    """Looked at each second, so that no question finds out by itself that it is away."""

    def __init__(self, database: Database, primary: Database) -> None:
        self.database = database
        self.state: State = "away"
        self.lag = 0.0
        """Seconds for which it has lacked what the primary had then; by our own clock alone."""
        self._primary = primary
        self._cluster: int | None = None
        self._awaited: _Awaited | None = None

    async def keep_watch(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._look()
            await pause(stop, LOOK_EVERY)

    def serves(self, settled: datetime | None) -> bool:
        """Whether asking it is worth the while."""
        return self.state == "ok" or (self.state == "behind" and settled is not None)

    async def _look(self) -> None:
        try:
            position = await written(self._primary)
            async with self._primary.connection() as connection:
                self._cluster = await connection.fetchval(CLUSTER, timeout=ANSWER)
        except (Outage, Busy, SlowQuery, asyncpg.PostgresError):
            position = None  # then nobody knows how far behind it is
        try:
            async with self.database.connection() as connection:
                shown = await _replayed(connection)
                if not shown:
                    raise Outage("replica", "it follows nobody: this is no streaming replica")
                cluster = await connection.fetchval(CLUSTER, timeout=ANSWER)
                if self._cluster not in (None, cluster):
                    raise Outage("replica", "it follows another PostgreSQL")
        except (Busy, SlowQuery):
            return
        except (Outage, asyncpg.PostgresError):
            self.state = "away"
            return
        self._judge(shown["position"], position)

    def _judge(self, shown: int, position: int | None) -> None:
        now = monotonic()
        if self._awaited and shown >= self._awaited.position:
            self._awaited = None
        if not self._awaited and position is not None and shown < position:
            self._awaited = _Awaited(now, position)
        lag = now - self._awaited.since if self._awaited else 0.0
        if lag > BEHIND:
            if self.state != "behind":
                emit("replica.behind", lag_s=round(lag, 3))
            self.state = "behind"
        else:
            if self.state == "behind":
                emit("replica.caught_up", lag_s=round(self.lag, 3))
            self.state = "ok"
        self.lag = lag


class Reading:
    """For one answer: the replica while it shows all that is needed, then the primary.

    What is needed is all that the primary shows when the answer begins, so no page of a cursor goes
    back in time, whoever answered the one before. Only a range that is settled needs less: all that
    was stored while its ticks could still come. Whoever was sent to the primary stays there.
    """

    def __init__(self, primary: Database, replica: Replica | None, asked: AskedRange) -> None:
        self._settled = settled_at(asked, datetime.now(UTC))
        self._primary = primary
        self._replica = replica if replica and replica.serves(self._settled) else None
        self._position: int | None = None

    async def ask(self, question: Question[T], lend: Lend = Database.connection) -> T:
        """The question may be asked twice; it raises what it raises on the primary."""
        if self._replica:
            if not self._settled and self._position is None:
                self._position = await written(self._primary)
            try:
                return await self._ask_replica(self._replica.database, question, lend)
            except NOT_THERE:
                self._replica = None
        async with lend(self._primary) as connection:
            return await question(connection)

    async def _ask_replica(self, database: Database, question: Question[T], lend: Lend) -> T:
        async with lend(database) as connection:
            # On this very connection: behind one address there may be several replicas.
            if not self._is_enough(await _replayed(connection)):
                raise NotYet
            return await question(connection)

    def _is_enough(self, shown: "Row | None") -> bool:
        if not shown:
            return False
        if self._settled:
            return bool(shown["at"] and shown["at"] >= self._settled)
        return bool(self._position is not None and shown["position"] >= self._position)


@dataclass(frozen=True)
class Databases:
    """The one place that says who is asked; about anything but a range that is the primary."""

    primary: Database
    replica: Replica | None = None

    def reading(self, asked: AskedRange) -> Reading:
        """For an answer about a range; all of its questions go by way of this."""
        return Reading(self.primary, self.replica, asked)

    async def keep_watch(self, stop: asyncio.Event) -> None:
        if self.replica:
            await self.replica.keep_watch(stop)


@asynccontextmanager
async def open_databases(settings: ApiSettings) -> AsyncIterator[Databases]:
    """Needs neither of them to be there."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_database(settings, primary_server(settings)))
        if not settings.postgres_read_dsn:
            yield Databases(first)
            return
        second = await stack.enter_async_context(open_database(settings, replica_server(settings)))
        yield Databases(first, Replica(second, first))


async def written(database: Database) -> int | None:
    """How far the log has all that anybody can see on the primary now; raises Outage, Busy."""
    async with database.connection() as connection:
        position: int | None = await connection.fetchval(WRITTEN, timeout=ANSWER)
        return position


async def _replayed(connection: Connection) -> "Row | None":
    return await connection.fetchrow(REPLAYED, timeout=ANSWER)
