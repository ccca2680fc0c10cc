"""migrate: numbered SQL files, passwords → PostgreSQL, before the services start; then it ends."""

import asyncio
from functools import partial

from migrate.schema import migrate
from migrate.settings import MigrateSettings
from pipeline.lifecycle import run
from pipeline.outage import persist


async def main(settings: MigrateSettings, stop: asyncio.Event) -> None:
    dsn, passwords = str(settings.postgres_dsn), settings.passwords()
    await persist(partial(migrate, dsn, passwords, settings.retention_days), stop)


if __name__ == "__main__":
    run("migrate", MigrateSettings, main)
