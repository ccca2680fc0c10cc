"""api.queries: how PostgreSQL goes about them."""

import re
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from api import queries
from api.database import PLANNER
from api.ranges import BEGINNING
from tests.api_process import LONG
from tests.conftest import Database

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("sql", "arguments"),
    [
        (queries.PRICES, ("LONG", BEGINNING, -1, NOW, 500)),
        (queries.AVERAGE, ("LONG", BEGINNING, NOW)),
        (queries.LATEST, ("LONG",)),
        (queries.STOCKS, ()),
        (queries.LAST_ROW, ()),
    ],
    ids=["prices", "average", "latest", "stocks", "last_row"],
)
async def test_every_query_walks_the_index_and_sorts_nothing(
    postgres: Database, sql: str, arguments: tuple[Any, ...]
) -> None:
    await postgres.connection.execute(LONG)
    await postgres.connection.execute("ANALYZE stock_prices")
    connection = await asyncpg.connect(postgres.dsn("api"), server_settings=PLANNER)
    try:
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {sql}", *arguments))
    finally:
        await connection.close()

    assert "Index" in plan  # each partition's has a name of its own
    assert "Seq Scan" not in plan
    assert not re.search(r"Sort(?! Key)", plan)  # the key is what partitions are merged by
