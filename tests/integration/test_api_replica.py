"""api with a streaming replica: asked for what it has all of, and missed by nobody."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.api_process import LONG, Api, owner_runs, running_api, store, tick
from tests.embedded import Embedded
from tests.metric_rows import connected
from tests.replicas import Pair, reading_from, replica_is, status_of_replica, waiting
from tests.servers import PostgresServer
from tests.services import StartService
from tests.waiting import wait_until

DAY_OVER = "start_time=2023-11-15T00:00:00Z&end_time=2023-11-16T00:00:00Z"
OLD = f"/api/prices/OLD?{DAY_OVER}"
AT_ONCE = 5.0

# Ticks of the last minutes, as many as are asked for, behind those that are there.
MORE = """
WITH there AS (SELECT count(*) FROM stock_prices WHERE stock_name = 'NEW'),
new AS (
  SELECT n, (extract(epoch FROM now()) * 1000)::bigint - 300000 + n AS ms
  FROM there, generate_series(count + 1, count + $1) AS n
)
INSERT INTO stock_prices
SELECT 'epoch'::timestamptz + ms * interval '1 ms', 'NEW', 'NYSE', n, ms << 20 FROM new
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    servers = Embedded()
    primary = servers.postgres()
    try:
        replica = servers.replica(primary)
        try:
            yield Pair(primary, replica)
        finally:
            replica.runner.close()
    finally:
        primary.runner.close()


@pytest.fixture
async def primary(pair: Pair) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(pair.primary.owner_dsn)
    await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    await connection.execute("TRUNCATE stock_prices, candles")
    await store(connection, [tick(n, "5", "OLD") for n in range(10)])
    yield connection
    connection.terminate()


async def test_it_is_asked_while_it_has_all_and_the_primary_once_it_is_behind(
    service: StartService, pair: Pair, primary: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await primary.execute(MORE, 100)
    async with reading_from(pair, service) as api:
        await wait_until(lambda: pair.replica_answers(api, _today()))
        await wait_until(lambda: pair.replica_answers(api, "/api/prices/NEW"))  # until now
        first = await _page(api, None)

        await pair.pause_replay()
        await primary.execute(MORE, 100)  # which the replica hasn't got
        await _assert_complete(api, 200)
        second = await _page(api, first["next_cursor"])  # of the replica's page
        assert await pair.replica_answers(api, OLD)  # days that are over are its business still

        await replica_is(api, "behind")
        assert (await status_of_replica(api))["lag_seconds"] > 5
        await api.process.wait_for("replica.behind")
        await _assert_complete(api, 200)

        await pair.resume_replay()
        await api.process.wait_for("replica.caught_up")
        await wait_until(lambda: pair.replica_answers(api, _today()))
        third = await _page(api, second["next_cursor"])
        prices = [tick["price"] for page in (first, second, third) for tick in page["prices"]]
        assert prices == list(range(1, 121))
        assert not api.process.find("outage", neighbour=lambda name: name != "redis")


async def test_a_cursor_of_the_primary_skips_nothing_that_the_replica_lacks(
    service: StartService, pair: Pair, primary: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await primary.execute(MORE, 100)
    async with reading_from(pair, service) as api:
        await wait_until(lambda: pair.replica_answers(api, _today()))
        await pair.pause_replay()
        for last in (100, 180):  # the second time all that is asked for is new
            if last > 100:
                await primary.execute(MORE, 80)
            cursor, found = None, []
            while True:
                page = await _page(api, cursor)
                found += [tick["price"] for tick in page["prices"]]
                if not (cursor := page["next_cursor"]):
                    break
            assert found == list(range(1, last + 1))
        await pair.resume_replay()


async def test_killed_or_hanging_it_is_missed_by_nobody_and_used_again_once_it_is_back(
    service: StartService, pair: Pair, primary: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await primary.execute(LONG)
    await primary.execute(MORE, 100)
    async with reading_from(pair, service) as api:
        await wait_until(lambda: pair.replica_answers(api, OLD))
        async with api.open(f"/api/prices/LONG?{DAY_OVER}") as response:
            received = await response.content.readany()
            pair.replica.kill()  # with an answer under way
            received += await response.content.read()
        assert len(json.loads(received)["prices"]) == 200_000
        await _assert_complete(api, 100)
        await replica_is(api, "away")
        assert (await api.get("/api/health/ready")).status == 200
        await api.process.wait_for("outage", neighbour="replica")

        pair.replica.start()
        await replica_is(api, "ok")
        await api.process.wait_for("outage.over", neighbour="replica")
        await wait_until(lambda: pair.replica_answers(api, _today()))

        pair.replica.pause()
        try:
            for _ in range(3):
                await _assert_complete(api, 100)
        finally:
            pair.replica.resume()
        await replica_is(api, "ok")
        assert not api.process.find("log")


async def test_what_is_in_the_way_of_the_replay_is_ended_there_and_asked_again_of_the_primary(
    service: StartService, pair: Pair, primary: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    partition = await primary.fetchval("SELECT tableoid::regclass::text FROM stock_prices LIMIT 1")
    async with connected(pair.primary.owner_dsn) as other, reading_from(pair, service) as api:
        await wait_until(lambda: pair.replica_answers(api, OLD))
        # The question gets the table there, and then waits for its part ...
        async with primary.transaction():
            await primary.execute(f"LOCK TABLE {partition} IN ACCESS EXCLUSIVE MODE")
            await _flush(pair)
            asked = asyncio.ensure_future(api.get(f"/api/average/OLD?{_part()}"))
            await wait_until(lambda: waiting(pair.replica), what="it waits on the replica")
            # ... so that it is in the way of whoever wants the whole table.
            async with other.transaction():
                await other.execute("LOCK TABLE ONLY stock_prices IN ACCESS EXCLUSIVE MODE")
                await _flush(pair)
                await wait_until(lambda: waiting(pair.primary), 20.0, "it waits on the primary")
        answer = await asked
        assert (answer.status, answer.json["count"]) == (200, 9)
        await replica_is(api, "ok")
        assert not api.process.find("log")


async def test_days_that_are_over_are_answered_without_the_primary(
    service: StartService, pair: Pair, primary: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await primary.execute(MORE, 10)
    async with reading_from(pair, service) as api:
        await wait_until(lambda: pair.replica_answers(api, OLD))
        pair.primary.kill()
        try:
            assert len((await api.get(OLD)).json["prices"]) == 10
            assert (await api.get(_today())).status == 503
        finally:
            pair.primary.start()
        await wait_until(lambda: pair.replica_answers(api, _today()), 30.0)


async def test_a_primary_is_no_replica_and_that_is_said(service: StartService, pair: Pair) -> None:
    address = pair.primary.dsn("api")
    async with running_api(service, POSTGRES_DSN=address, POSTGRES_READ_DSN=address) as api:
        await api.process.wait_for("outage", neighbour="replica")
        assert await status_of_replica(api) == {"state": "away", "lag_seconds": None}
        assert (await api.get("/api/stocks")).status == 200


async def test_a_replica_of_another_primary_is_not_asked_and_that_is_said(
    service: StartService, pair: Pair, shared_postgres: PostgresServer
) -> None:
    """As after a volume was left behind, or a dump was restored into a new one."""
    addresses = {
        "POSTGRES_DSN": shared_postgres.dsn("api"),
        "POSTGRES_READ_DSN": pair.replica.dsn("api"),
    }
    async with running_api(service, **addresses) as api:
        said = await api.process.wait_for("outage", neighbour="replica")
        assert said["reason"] == "it follows another PostgreSQL"
        assert (await status_of_replica(api))["state"] == "away"


async def _assert_complete(api: Api, count: int) -> None:
    """All that is stored of NEW, whatever is asked."""
    for address in (_today(), "/api/prices/NEW"):
        assert len((await _at_once(api, address))["prices"]) == count
    assert (await _at_once(api, f"/api/average/NEW?{_since()}"))["count"] == count
    candles = (await _at_once(api, f"/api/candles/NEW?{_since()}"))["candles"]
    assert sum(candle["count"] for candle in candles) == count
    assert (await _at_once(api, "/api/latest/NEW"))["price"] == count


async def _at_once(api: Api, address: str) -> Any:
    async with asyncio.timeout(AT_ONCE):
        return (await api.get(address)).json


async def _page(api: Api, cursor: str | None) -> Any:
    more = f"&cursor={cursor}" if cursor else ""
    return (await api.get(f"{_today()}&limit=40{more}")).json


async def _flush(pair: Pair) -> None:
    """A lock alone goes to a replica seconds later."""
    await owner_runs(pair.primary, "SELECT pg_logical_emit_message(true, '', '')")


def _today() -> str:
    return f"/api/prices/NEW?{_since()}"


def _since() -> str:
    now = datetime.now(UTC)
    begin, end = now - timedelta(hours=1), now + timedelta(hours=1)
    return f"start_time={begin.timestamp():.0f}&end_time={end.timestamp():.0f}"


def _part() -> str:
    """Edges of a minute, so that ticks are asked for and no candles."""
    return "start_time=2023-11-15T12:00:00.000001Z&end_time=2023-11-15T12:00:30Z"
