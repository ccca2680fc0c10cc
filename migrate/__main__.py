"""migrate: numbered SQL files, passwords → PostgreSQL, before the services start; then it ends."""

import asyncio
from contextlib import suppress
from functools import partial

from migrate.schema import migrate
from migrate.settings import MigrateSettings
from pipeline.lifecycle import run
from pipeline.outage import Stopped, persist


async def main(settings: MigrateSettings, stop: asyncio.Event) -> None:
    dsn, passwords = str(settings.postgres_dsn), settings.passwords()
    with suppress(Stopped):
        await persist(partial(migrate, dsn, passwords, settings.retention_days), stop)


if __name__ == "__main__":
    run("migrate", MigrateSettings, main)
