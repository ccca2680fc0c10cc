"""A database of a test's own on the shared server: empty, of the previous release, or of this."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg

from migrate.schema import migrate, steps
from tests.servers import PostgresServer

PREVIOUS = 4
"""How many of the steps the previous release ran by itself, when its volume was empty."""


def in_database(server: PostgresServer, name: str) -> PostgresServer:
    """The same server, seen from another database of it."""
    address, _, _ = server.owner_dsn.rpartition("/")
    return PostgresServer(server.runner, f"{address}/{name}", server.passwords)


@asynccontextmanager
async def empty_database(server: PostgresServer) -> AsyncIterator[PostgresServer]:
    name = f"test_{uuid4().hex[:12]}"
    owner = await asyncpg.connect(server.owner_dsn)
    try:
        await owner.execute(f"CREATE DATABASE {name}")
        yield in_database(server, name)
    finally:
        await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await owner.close()


@asynccontextmanager
async def previous_release(server: PostgresServer) -> AsyncIterator[PostgresServer]:
    async with empty_database(server) as database:
        owner = await asyncpg.connect(database.owner_dsn)
        for sql in list(steps().values())[:PREVIOUS]:
            await owner.execute(sql)
        await owner.close()
        yield database


@asynccontextmanager
async def new_database(server: PostgresServer) -> AsyncIterator[PostgresServer]:
    async with empty_database(server) as database:
        await upgrade(database)
        yield database


async def upgrade(database: PostgresServer, retention_days: int = 365) -> None:
    await migrate(database.owner_dsn, database.passwords, retention_days)
