"""api: what it answers about prices, on a real PostgreSQL."""

from decimal import Decimal
from time import time_ns
from typing import Any
from urllib.parse import quote

import pytest

from api.ranges import rfc3339
from tests.api_process import NOON, Api, store, tick
from tests.conftest import Database


async def test_prices_are_every_stored_tick_oldest_first_with_every_digit(
    api: Api, postgres: Database
) -> None:
    long_price = "123456789012345678.123456789012345678"
    await store(
        postgres.connection,
        [tick(2, "5.10"), tick(1, long_price), tick(1, "0.000000000000000001", "AAPL", "NASDAQ")],
    )

    answer = await api.get("/api/prices/TSLA")

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["stock_name"] == "TSLA"
    assert answer.json["start_time"] is None
    assert answer.json["note"] is None
    assert answer.json["next_cursor"] is None
    assert answer.json["prices"] == [
        {
            "timestamp": "2023-11-15T12:00:00.000001Z",
            "exchange_name": "NYSE",
            "price": Decimal(long_price),
            "id": "1700049600000-1024",
        },
        {
            "timestamp": "2023-11-15T12:00:00.000002Z",
            "exchange_name": "NYSE",
            "price": Decimal("5.10"),
            "id": "1700049600000-2048",
        },
    ]
    assert _prices(answer.json) == [long_price, "5.10"]


async def test_a_range_takes_in_its_start_and_leaves_out_its_end_to_the_microsecond(
    api: Api, postgres: Database
) -> None:
    await store(postgres.connection, [tick(us, str(us + 1)) for us in range(5)])

    day = "2023-11-15T12:00:00"
    answer = await api.get(
        f"/api/prices/TSLA?start_time={day}.000001Z&end_time={day}.000003%2B00:00"
    )

    assert _prices(answer.json) == ["2", "3"]
    assert answer.json["start_time"] == f"{day}.000001Z"
    assert answer.json["end_time"] == f"{day}.000003Z"


async def test_ticks_of_one_microsecond_keep_the_order_of_the_stream(
    api: Api, postgres: Database
) -> None:
    await store(postgres.connection, [tick(7, str(nth + 1), nth=nth) for nth in (2, 0, 1)])

    assert _prices((await api.get("/api/prices/TSLA")).json) == ["1", "2", "3"]


async def test_the_average_is_exact(api: Api, postgres: Database) -> None:
    await store(
        postgres.connection,
        [tick(n, price) for n, price in enumerate(("0.1", "0.2", "100000000000000000.7", "9"))],
    )

    answer = await api.get("/api/average/TSLA?end_time=2023-11-15T12:00:00.000003Z")

    exact = await postgres.connection.fetchval(
        "SELECT avg(price)::text FROM stock_prices WHERE price <> 9"
    )
    assert answer.json["count"] == 3
    assert f'"average":{exact},' in answer.body.decode()


async def test_without_an_end_a_tick_by_a_clock_ahead_of_ours_is_in(
    api: Api, postgres: Database
) -> None:
    hour = 3_600_000_000
    ahead = time_ns() // 1000 - NOON + hour
    await store(postgres.connection, [tick(0, "1"), tick(ahead, "2", nth=1), tick(ahead, "4")])

    everything = (await api.get("/api/prices/TSLA")).json
    average = (await api.get("/api/average/TSLA")).json
    first = (await api.get("/api/prices/TSLA?limit=2")).json
    second = (await api.get(f"/api/prices/TSLA?limit=2&cursor={first['next_cursor']}")).json

    assert _prices(everything) == ["1", "4", "2"]
    assert average["count"] == 3
    assert everything["end_time"] == average["end_time"] == rfc3339(tick(ahead + 1, "0")[0])
    again = (await api.get(f"/api/prices/TSLA?end_time={everything['end_time']}")).json
    assert again == everything
    assert _prices(first) + _prices(second) == ["1", "4", "2"]
    assert second["next_cursor"] is None


async def test_a_known_stock_without_ticks_in_the_range_has_no_prices_and_no_average(
    api: Api, postgres: Database
) -> None:
    await store(postgres.connection, [tick(0, "5")])
    before = "end_time=2023-11-15T12:00:00Z"

    prices = await api.get(f"/api/prices/TSLA?{before}")
    average = await api.get(f"/api/average/TSLA?{before}")
    future = await api.get("/api/prices/TSLA?start_time=9999-12-31T23:59:59.999999Z")

    assert (prices.status, prices.json["prices"]) == (200, [])
    assert (average.status, average.json["average"], average.json["count"]) == (200, None, 0)
    assert (future.status, future.json["prices"]) == (200, [])


@pytest.mark.parametrize("name", ["NOPE", "tsla", "%00", "%FF", "A%2FB", "x" * 300, "1%3B--"])
@pytest.mark.parametrize("route", ["prices", "average", "latest"])
async def test_a_stock_nobody_has_seen_is_a_404(
    api: Api, postgres: Database, route: str, name: str
) -> None:
    await store(postgres.connection, [tick(0, "5")])

    answer = await api.get(f"/api/{route}/{name}")

    assert answer.status == 404
    assert answer.problem["title"] == "Unknown stock"


@pytest.mark.parametrize(
    "name", ["BRK.B", "A/B", "50%", "a?b#c", "Ünï", '"\\', "../../../x", "a+&=b"]
)
async def test_any_name_that_was_stored_can_be_asked_for(
    api: Api, postgres: Database, name: str
) -> None:
    await store(postgres.connection, [tick(0, "5", name, '"N\\')])
    quoted = quote(name, safe="")

    latest = (await api.get(f"/api/latest/{quoted}")).json
    prices = (await api.get(f"/api/prices/{quoted}")).json

    assert latest["stock_name"] == prices["stock_name"] == name
    assert latest["exchange_name"] == prices["prices"][0]["exchange_name"] == '"N\\'


async def test_stocks_are_the_newest_tick_of_each_by_name(api: Api, postgres: Database) -> None:
    assert (await api.get("/api/stocks")).json == {"stocks": []}
    await store(
        postgres.connection,
        [
            tick(9, "7.70", nth=1),
            tick(9, "5"),
            tick(1, "3"),
            tick(4, "2", "AAPL", "NASDAQ"),
            tick(5, "1", "AAPL", "NASDAQ"),
        ],
    )

    answer = await api.get("/api/stocks")

    assert [(each["stock_name"], str(each["price"])) for each in answer.json["stocks"]] == [
        ("AAPL", "1"),
        ("TSLA", "7.70"),
    ]
    assert answer.json["stocks"][1] == (await api.get("/api/latest/TSLA")).json
    assert answer.json["stocks"][1]["id"] == "1700049600000-9217"


async def test_what_does_not_exist_is_a_problem_too(api: Api) -> None:
    missing = await api.get("/api/nothing/here")
    assert (missing.status, missing.problem["instance"]) == (404, "/api/nothing/here")

    refused = await api.request("POST", "/api/stocks")
    assert (refused.status, refused.problem["title"]) == (405, "Method Not Allowed")
    assert refused.headers["Allow"] == "GET, HEAD"

    head = await api.request("HEAD", "/api/stocks")
    assert (head.status, head.body) == (200, b"")


async def test_the_documentation_is_complete_and_runs_nothing_inline(api: Api) -> None:
    described = (await api.get("/api/openapi.json")).json

    assert set(described["paths"]) == {
        "/api/prices/{stock_name}",
        "/api/average/{stock_name}",
        "/api/candles/{stock_name}",
        "/api/latest/{stock_name}",
        "/api/prices",
        "/api/average",
        "/api/candles",
        "/api/latest",
        "/api/stocks",
        "/api/status",
        "/api/health",
        "/api/health/ready",
    }
    errors = described["paths"]["/api/prices/{stock_name}"]["get"]["responses"]
    assert {code: sorted(each.get("content", ())) for code, each in errors.items()} == {
        "200": ["application/json", "application/x-ndjson", "text/csv"],
        "304": [],
        **{code: ["application/problem+json"] for code in ("404", "422", "503")},
    }
    page = (await api.get("/api/docs")).body.decode()
    assert '<script src="/docs.js"></script>' in page
    assert "<script>" not in page


def _prices(answer: Any) -> list[str]:
    return [str(each["price"]) for each in answer["prices"]]
