"""What a question that is cut short leaves behind on the server: nothing."""

import asyncio
from itertools import count

from api.database import Database as ApiDatabase
from api.database import open_database, primary_server
from api.settings import ApiSettings
from tests.conftest import Database
from tests.waiting import wait_until

HELD = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE usename = 'api'"
QUESTION = "SELECT price FROM stock_prices"
LATEST_CUT = 25  # turns of the loop: behind that of its answer


async def test_a_question_cancelled_at_any_moment_keeps_no_lock(postgres: Database) -> None:
    settings = ApiSettings.model_validate(
        {"postgres_dsn": postgres.dsn("api"), "redis_url": "redis://localhost:1/0"}
    )
    texts = (QUESTION.ljust(length) for length in count(len(QUESTION)))  # none is prepared yet

    async def ask(database: ApiDatabase) -> None:
        async with database.connection() as connection:
            await connection.fetchrow(next(texts))

    async def nothing_is_held() -> bool:
        return not await postgres.connection.fetchval(HELD)

    async with open_database(settings, primary_server(settings)) as database:
        await ask(database)
        for turns in range(LATEST_CUT):
            for _ in range(3):
                asking = asyncio.create_task(ask(database))
                for _ in range(turns):
                    await asyncio.sleep(0)
                asking.cancel()
                await asyncio.wait({asking})
            await wait_until(nothing_is_held)
