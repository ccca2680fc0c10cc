"""api: what may stand in a question, on a real PostgreSQL, and what is said of the rest."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.api_process import Api, asking, start_api, store, tick
from tests.conftest import Database
from tests.servers import PostgresServer
from tests.services import Service


@pytest.fixture(scope="module")
def process(shared_postgres: PostgresServer) -> Iterator[tuple[Service, int]]:
    """One for all tests here: they only ask."""
    process, port = start_api(Service, POSTGRES_DSN=shared_postgres.dsn("api"))
    yield process, port
    process.close()


@pytest.fixture
async def api(process: tuple[Service, int]) -> AsyncIterator[Api]:
    async with asking(*process) as running:
        yield running


@pytest.mark.parametrize("name", ["TSLA", ".", "..", "../../../x", "a+&=b"])
async def test_a_name_may_be_in_the_query_which_no_browser_takes_for_a_path(
    api: Api, postgres: Database, name: str
) -> None:
    await store(postgres.connection, [tick(0, "5", name), tick(1, "6", name)])
    quoted = quote(name, safe="")

    prices = (await api.get(f"/api/prices?stock_name={quoted}&limit=1")).json
    average = (await api.get(f"/api/average?stock_name={quoted}&end_time=2023-11-16")).json
    latest = (await api.get(f"/api/latest?stock_name={quoted}")).json

    assert (prices["stock_name"], _prices(prices)) == (name, ["5"])
    assert (average["stock_name"], average["count"]) == (name, 2)
    assert (latest["stock_name"], str(latest["price"])) == (name, "6")


@pytest.mark.parametrize("kind", ["prices", "average", "latest"])
async def test_a_missing_name_is_said(api: Api, kind: str) -> None:
    answer = await api.get(f"/api/{kind}")

    assert answer.status == 422
    assert [each["field"] for each in answer.problem["errors"]] == ["stock_name"]


async def test_a_time_without_an_offset_is_utc_and_the_answer_says_so(
    api: Api, postgres: Database
) -> None:
    await store(postgres.connection, [tick(0, "5")])

    for route in ("prices", "average"):
        answer = await api.get(f"/api/{route}/TSLA?start_time=2023-11-15T12:00:00")
        assert answer.json["note"] == "no offset in start_time: read as UTC"
        assert answer.json["start_time"] == "2023-11-15T12:00:00.000000Z"


async def test_a_plus_sign_that_became_a_blank_is_still_an_offset(
    api: Api, postgres: Database
) -> None:
    await store(postgres.connection, [tick(0, "5")])

    answer = await api.get("/api/prices/TSLA?start_time=2023-11-15T13:00:00+01:00&end_time=")

    assert answer.json["start_time"] == "2023-11-15T12:00:00.000000Z"
    assert answer.json["note"] is None
    assert _prices(answer.json) == ["5"]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("start_time=yesterday", ["start_time"]),
        ("end_time=2023-02-30T00:00:00Z", ["end_time"]),
        ("start_time=x&end_time=y", ["start_time", "end_time"]),
        ("start_time=2023-11-15T12:00:00Z&end_time=2023-11-15T11:00:00Z", ["start_time"]),
        ("start_time=1700049600000", ["start_time"]),
        ("start_time=0001-01-01T00:00:00%2B00:01", ["start_time"]),
        ("start=2023-11-15T12:00:00Z", ["start"]),
        ("limit=0", ["limit"]),
        ("limit=100001", ["limit"]),
        ("limit=many", ["limit"]),
        ("cursor=AAAA", ["cursor"]),
        ("cursor=%E2%82%AC", ["cursor"]),
    ],
)
async def test_a_wrong_parameter_is_named(api: Api, query: str, fields: list[str]) -> None:
    answer = await api.get(f"/api/prices/TSLA?{query}")

    assert answer.status == 422
    assert [each["field"] for each in answer.problem["errors"]] == fields
    assert all(each["message"] for each in answer.problem["errors"])


@pytest.mark.parametrize(
    "address",
    [
        "/api/prices/TSLA",
        "/api/average/TSLA",
        "/api/latest/TSLA",
        "/api/stocks",
        "/api/status",
        "/api/health",
        "/api/health/ready",
    ],
)
async def test_no_address_takes_a_parameter_that_it_does_not_know(api: Api, address: str) -> None:
    answer = await api.get(f"{address}?x=1")

    assert answer.status == 422
    assert [each["field"] for each in answer.problem["errors"]] == ["x"]


def _prices(answer: Any) -> list[str]:
    return [str(each["price"]) for each in answer["prices"]]
