"""api: answers of any length, whole or visibly broken, whoever reads them how slowly."""

import json
from contextlib import AsyncExitStack

import aiohttp
import pytest

from api.export import CHUNK
from tests.api_process import (
    LONG,
    Api,
    is_idle,
    locked,
    owner_runs,
    running_api,
    store,
    tick,
)
from tests.conftest import Database
from tests.servers import PostgresServer
from tests.services import StartService
from tests.waiting import wait_until

API_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'api'"
ROWS_READ = (
    "SELECT sum(idx_tup_read)::int FROM pg_stat_user_indexes WHERE relname LIKE 'stock_prices%'"
)


@pytest.mark.parametrize("limit", [1, 3, 5, 9, 10, 11])
async def test_pages_hold_every_tick_of_the_range_once(
    api: Api, postgres: Database, limit: int
) -> None:
    # three ticks in each µs: pages end within one, too
    await store(postgres.connection, [tick(n // 3, str(n), nth=n % 3) for n in range(1, 12)])
    address = f"/api/prices/TSLA?limit={limit}&end_time=2023-11-15T12:00:00.000003Z"

    pages = [(await api.get(address)).json]
    while cursor := pages[-1]["next_cursor"]:
        pages.append((await api.get(f"{address}&cursor={cursor}")).json)

    assert [str(each["price"]) for page in pages for each in page["prices"]] == [
        str(n) for n in range(1, 9)
    ]
    assert len(pages) == -(-8 // limit)


async def test_an_answer_of_many_chunks_is_whole(api: Api, postgres: Database) -> None:
    await postgres.connection.execute(LONG)

    everything = await api.get("/api/prices/LONG")

    ids = [each["id"] for each in everything.json["prices"]]
    assert ids == [f"{1700049600000 + n}-0" for n in range(200_000)]
    for size in (CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 3500):
        page = (await api.get(f"/api/prices/LONG?limit={size}")).json
        rest = (await api.get(f"/api/prices/LONG?limit={size}&cursor={page['next_cursor']}")).json
        found = [each["id"] for each in (*page["prices"], *rest["prices"])]
        assert found == ids[: 2 * size]


@pytest.mark.parametrize("count", [CHUNK, 2 * CHUNK])
async def test_an_answer_that_ends_with_a_chunk_has_no_next_page(
    api: Api, postgres: Database, count: int
) -> None:
    await store(postgres.connection, [tick(n, str(n + 1)) for n in range(count)])

    for limit in ("", f"?limit={count}", f"?limit={count + 1}"):
        answer = (await api.get(f"/api/prices/TSLA{limit}")).json
        assert (len(answer["prices"]), answer["next_cursor"]) == (count, None)


async def test_a_database_that_dies_in_mid_answer_leaves_it_visibly_broken(
    service: StartService, own_postgres: PostgresServer
) -> None:
    await owner_runs(own_postgres, LONG)
    async with (
        running_api(service, POSTGRES_DSN=own_postgres.dsn("api")) as api,
        api.open("/api/prices/LONG") as response,
    ):
        assert response.status == 200
        await response.content.readany()
        own_postgres.kill()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()


async def test_an_answer_that_cannot_go_on_is_visibly_broken(
    service: StartService, postgres: Database
) -> None:
    await postgres.connection.execute(LONG)
    async with running_api(
        service, POSTGRES_DSN=postgres.dsn("api"), API_STATEMENT_TIMEOUT=0.3
    ) as api:
        async with api.open("/api/prices/LONG") as response, locked(postgres):
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()

        assert len((await api.get("/api/prices/LONG?limit=9")).json["prices"]) == 9


async def test_readers_that_take_nothing_hold_nothing(
    service: StartService, postgres: Database
) -> None:
    await postgres.connection.execute(LONG)
    async with (
        running_api(service, POSTGRES_DSN=postgres.dsn("api"), API_POOL_SIZE=2) as api,
        AsyncExitStack() as readers,
    ):
        slow = [await readers.enter_async_context(api.open("/api/prices/LONG")) for _ in range(3)]
        await wait_until(lambda: is_idle(postgres))

        assert {response.status for response in slow} == {200}
        for limit in ("?limit=1", f"?limit={CHUNK + 1}", ""):
            assert (await api.get(f"/api/prices/LONG{limit}")).status == 200
        for response in slow:
            assert len(json.loads(await response.content.read())["prices"]) == 200_000
        assert not api.process.find("log")


async def test_a_reader_that_leaves_ends_its_answer(
    service: StartService, postgres: Database
) -> None:
    await postgres.connection.execute(LONG)
    async with running_api(service, POSTGRES_DSN=postgres.dsn("api"), API_POOL_SIZE=2) as api:
        for _ in range(3):
            async with api.open("/api/prices/LONG") as response:
                await response.content.readany()
        await wait_until(lambda: is_idle(postgres))

        assert len((await api.get("/api/prices/LONG")).json["prices"]) == 200_000
        assert not api.process.find("log")


async def test_head_asks_whether_there_is_an_answer_and_reads_none(
    service: StartService, own_postgres: PostgresServer
) -> None:
    await owner_runs(own_postgres, LONG)
    async with running_api(service, POSTGRES_DSN=own_postgres.dsn("api")) as api:
        head = await api.request("HEAD", "/api/prices/LONG")
        unknown = await api.request("HEAD", "/api/prices/NOPE")
        assert await api.process.terminate() == 0
    # Each server process has counted what it read when it is gone.
    await wait_until(lambda: _is(own_postgres, 0, API_CONNECTIONS))

    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Type"] == "application/json"
    assert unknown.status == 404
    assert await owner_runs(own_postgres, ROWS_READ) < 10


async def _is(server: PostgresServer, expected: int, sql: str) -> bool:
    return bool(await owner_runs(server, sql) == expected)
