"""api: what it answers when PostgreSQL, its reader or its supervisor has other plans."""

import asyncio
import json
import signal
import socket
from time import monotonic
from typing import Any

import aiohttp

from tests.api_process import (
    LONG,
    NOBODY_LISTENS,
    Api,
    busy_connections,
    is_idle,
    locked,
    owner_runs,
    running_api,
    store,
    tick,
)
from tests.conftest import Database
from tests.servers import LOOPBACK, PostgresServer
from tests.services import Service, StartService
from tests.waiting import wait_until

AT_ONCE = 5.0  # seconds for an answer, whatever is away


async def test_it_starts_and_answers_without_any_neighbour(service: StartService) -> None:
    async with running_api(service) as api:
        for address in ("/api/prices/TSLA", "/api/average/TSLA", "/api/stocks", "/api/latest/TSLA"):
            await _assert_unavailable(api, address, "Database away")
        ready = await _assert_unavailable(api, "/api/health/ready", "Not ready")
        assert (ready["postgres"], ready["redis"]) == ("away", "away")
        status = await api.get("/api/status")

        assert (status.status, status.json["postgres"], status.json["redis"]) == (
            200,
            "away",
            "away",
        )
        outages = [each["neighbour"] for each in api.process.events if each["event"] == "outage"]
        assert sorted(outages) == ["postgres", "redis"]  # once each, however many ask
        assert not api.process.noise


async def test_a_database_that_is_killed_and_comes_back_is_used_again(
    service: StartService, own_postgres: PostgresServer
) -> None:
    async with running_api(service, POSTGRES_DSN=own_postgres.dsn("api")) as api:
        assert (await api.get("/api/stocks")).status == 200

        own_postgres.kill()
        await _assert_unavailable(api, "/api/stocks", "Database away")
        own_postgres.start()

        await wait_until(lambda: _status_is(api, "/api/stocks", 200))
        assert (await api.get("/api/health/ready")).json["status"] == "ready"
        await api.process.wait_for("outage.over")
        assert not api.process.find("log")


async def test_a_database_that_hangs_makes_nobody_wait(
    service: StartService, own_postgres: PostgresServer
) -> None:
    async with running_api(service, POSTGRES_DSN=own_postgres.dsn("api"), API_POOL_SIZE=2) as api:
        await asyncio.gather(*(api.get("/api/stocks") for _ in range(2)))  # connections are open
        own_postgres.pause()

        for _ in range(3):  # more than there are connections
            await asyncio.gather(
                _assert_unavailable(api, "/api/latest/TSLA", None),
                _assert_unavailable(api, "/api/prices/TSLA", None),
                _assert_unavailable(api, "/api/average/TSLA", None),
            )
        own_postgres.resume()

        await wait_until(lambda: _status_is(api, "/api/stocks", 200))


async def test_a_client_that_leaves_cancels_its_query(
    service: StartService, postgres: Database
) -> None:
    async with (
        running_api(service, POSTGRES_DSN=postgres.dsn("api")) as api,
        locked(postgres),
    ):
        asked = asyncio.ensure_future(api.get("/api/average/TSLA"))
        await wait_until(lambda: busy_connections(postgres))
        asked.cancel()

        await wait_until(lambda: is_idle(postgres))


async def test_too_many_at_once_are_told_to_come_back(
    service: StartService, postgres: Database
) -> None:
    await store(postgres.connection, [tick(0, "5")])
    async with running_api(service, POSTGRES_DSN=postgres.dsn("api"), API_POOL_SIZE=2) as api:
        async with locked(postgres):
            asked = [
                asyncio.ensure_future(api.get(f"/api/{what}/TSLA"))
                for what in ("average", "latest")
            ]
            await wait_until(lambda: busy_connections(postgres, 2))
            for what in ("average", "latest", "prices"):
                await _assert_unavailable(api, f"/api/{what}/TSLA", "Busy")

        assert [answer.status for answer in await asyncio.gather(*asked)] == [200, 200]


async def test_averages_leave_connections_for_short_questions(
    service: StartService, postgres: Database
) -> None:
    await store(postgres.connection, [tick(0, "5")])
    async with running_api(service, POSTGRES_DSN=postgres.dsn("api"), API_POOL_SIZE=4) as api:
        async with locked(postgres):
            averages = [asyncio.ensure_future(api.get("/api/average/TSLA")) for _ in range(2)]
            await wait_until(lambda: busy_connections(postgres, 2))
            await _assert_unavailable(api, "/api/average/TSLA", "Busy")
            short = [
                asyncio.ensure_future(api.get(f"/api/{what}"))
                for what in ("latest/TSLA", "prices/TSLA?limit=1000")
            ]
            await wait_until(lambda: busy_connections(postgres, 4))

        answers = await asyncio.gather(*averages, *short)
        assert [answer.status for answer in answers] == [200] * 4


async def test_a_query_that_takes_too_long_is_ended(
    service: StartService, postgres: Database
) -> None:
    async with running_api(
        service, POSTGRES_DSN=postgres.dsn("api"), API_STATEMENT_TIMEOUT=0.3
    ) as api:
        async with locked(postgres):
            await _assert_unavailable(api, "/api/average/TSLA", "Query too slow")

        assert (await api.get("/api/average/TSLA")).status == 404


async def test_a_table_that_somebody_holds_makes_no_status_wait(
    service: StartService, postgres: Database
) -> None:
    async with running_api(service, POSTGRES_DSN=postgres.dsn("api")) as api:
        for address in ("/api/status", "/api/health/ready"):
            async with asyncio.timeout(AT_ONCE), locked(postgres):
                answer = await api.get(address)
            assert (answer.status, answer.json["postgres"]) == (200, "busy")

        assert (await api.get("/api/status")).json["postgres"] == "ok"


async def test_a_bug_is_logged_once_and_shows_the_client_nothing(
    service: StartService, own_postgres: PostgresServer
) -> None:
    await owner_runs(own_postgres, LONG)
    await owner_runs(own_postgres, "ALTER TABLE stock_prices RENAME price TO cost")
    async with running_api(service, POSTGRES_DSN=own_postgres.dsn("api")) as api:
        answer = await api.get("/api/stocks")

        assert (answer.status, answer.problem["title"]) == (500, "Internal Server Error")
        assert b"price" not in answer.body
        logged = await api.process.wait_for("log")
        assert 'column "price" does not exist' in logged["trace"]
        assert [each["event"] for each in api.process.events].count("log") == 1


async def test_a_stop_lets_the_answer_under_way_finish(
    service: StartService, postgres: Database
) -> None:
    await postgres.connection.execute(LONG)
    async with running_api(service, POSTGRES_DSN=postgres.dsn("api")) as api:
        async with api.open("/api/prices/LONG") as response:
            received = await response.content.readany()
            api.process.signal(signal.SIGTERM)
            await wait_until(lambda: _refuses(api))
            received += await response.content.read()

        assert len(json.loads(received)["prices"]) == 200_000
        assert await api.process.exit_code() == 0
        assert api.process.events[-1]["event"] == "service.stopped"


async def test_a_stop_does_not_wait_for_a_reader_that_takes_nothing(
    service: StartService, postgres: Database
) -> None:
    await postgres.connection.execute(LONG)
    async with running_api(service, POSTGRES_DSN=postgres.dsn("api")) as api:
        async with api.open("/api/prices/LONG"):
            assert await api.process.terminate(limit=10) == 0

        await wait_until(lambda: is_idle(postgres))


async def test_a_taken_port_is_said_and_exit_1(service: StartService) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        api = service(
            "api",
            API_PORT=listener.getsockname()[1],
            POSTGRES_DSN=f"postgresql://api@{NOBODY_LISTENS}/pipeline",
            REDIS_URL=f"redis://{NOBODY_LISTENS}",
        )

        assert await api.exit_code() == 1
    crash = await api.wait_for("service.crashed")
    assert "Address already in use" in crash["trace"]


async def test_a_missing_address_is_named(service: StartService) -> None:
    api: Service = service("api", API_PORT="ninety")

    assert await api.exit_code() == 2
    variables = api.events[0]["variables"]
    assert set(variables) == {"REDIS_URL", "POSTGRES_DSN", "API_PORT"}


async def _assert_unavailable(api: Api, address: str, title: str | None) -> Any:
    began = monotonic()
    answer = await api.get(address)
    assert monotonic() - began < AT_ONCE
    assert answer.status == 503, answer.body
    assert int(answer.headers["Retry-After"]) > 0
    assert title in (None, answer.problem["title"])
    return answer.problem


async def _status_is(api: Api, address: str, status: int) -> bool:
    return bool((await api.get(address)).status == status)


async def _refuses(api: Api) -> bool:
    try:
        async with aiohttp.ClientSession() as other, other.get(api.url):
            return False
    except aiohttp.ClientConnectionError:
        return True
