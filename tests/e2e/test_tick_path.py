"""A tick's path through the whole system: in at one end, out at both, by nginx's port."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tests.outside import Outside, in_us, outside
from tests.target import Target
from tests.waiting import wait_until

SIX = {"AAPL", "AMZN", "DIS", "MSFT", "NFLX", "TSLA"}
FIRST_PRICES = 30.0  # seconds after the system is ready


@pytest.fixture(name="outside")
async def whole_system(system: Target) -> AsyncIterator[Outside]:
    async with outside(system) as there:
        yield there


async def test_a_published_price_reaches_the_live_feed_and_the_history_with_its_id_and_digits(
    outside: Outside,
) -> None:
    await outside.market.publish("NYSE", "E2E-PATH", "723.020")

    def arrived() -> list[Any] | None:
        return next((tick for tick in outside.feed.ticks if tick[1] == "E2E-PATH"), None)

    entry_id, _, price, received_us = await wait_until(arrived)
    assert str(price) == "723.020"

    async def stored() -> Any:
        """Committed between the api's two questions, it is a known stock with an empty range."""
        history = await outside.get("/api/prices/E2E-PATH")
        return history and history["prices"]

    [point] = await wait_until(stored, limit=15)
    assert (point["id"], str(point["price"]), in_us(point["timestamp"])) == (
        entry_id,
        "723.020",
        received_us,
    )
    ms, sequence = (int(half) for half in entry_id.split("-"))
    [row] = await outside.sql("SELECT * FROM stock_prices WHERE stock_name = 'E2E-PATH'")
    assert row["event_id"] == ms << 20 | sequence
    assert (row["exchange_name"], str(row["price"])) == (point["exchange_name"], "723.020")


async def test_history_and_average_agree_with_the_table(outside: Outside) -> None:
    async def newest() -> Any:
        [row] = await outside.sql(
            "SELECT max(timestamp) AS end, count(*) FROM stock_prices WHERE stock_name = 'TSLA'"
        )
        return row["end"] if row["count"] > 20 else None

    end = await wait_until(newest, FIRST_PRICES)
    start = end - timedelta(seconds=10)
    within = "FROM stock_prices WHERE stock_name = 'TSLA' AND timestamp >= $1 AND timestamp < $2"
    rows = await outside.sql(f"SELECT * {within} ORDER BY event_id", start, end)
    [total] = await outside.sql(f"SELECT avg(price)::text, count(*) {within}", start, end)
    query = {"start_time": start.isoformat(), "end_time": end.isoformat()}
    history = await outside.get("/api/prices/TSLA", **query)
    average = await outside.get("/api/average/TSLA", **query)

    assert [(point["timestamp"], str(point["price"])) for point in history["prices"]] == [
        (f"{row['timestamp']:%Y-%m-%dT%H:%M:%S.%fZ}", str(row["price"])) for row in rows
    ]
    assert len(rows) > 10
    assert (str(average["average"]), average["count"]) == (total["avg"], total["count"])


async def test_the_six_stocks_are_there_within_half_a_minute(outside: Outside) -> None:
    async def all_six() -> bool:
        stocks = (await outside.get("/api/stocks"))["stocks"]
        return {stock["stock_name"] for stock in stocks} >= SIX

    await wait_until(all_six, FIRST_PRICES)


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "http://localhost:1"])
async def test_a_page_from_elsewhere_gets_no_feed(outside: Outside, origin: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await outside.http.ws_connect("/connection/websocket", origin=origin)
    assert refusal.value.status == 403


async def test_the_systems_own_page_gets_the_feed(outside: Outside) -> None:
    own = outside.system.url
    async with outside.http.ws_connect("/connection/websocket", origin=own) as socket:
        await socket.send_json({"id": 1, "connect": {}})
        assert "connect" in await socket.receive_json(timeout=5)


async def test_nobody_publishes_by_the_open_port(outside: Outside) -> None:
    async with outside.http.ws_connect("/connection/websocket") as socket:
        await socket.send_json({"id": 1, "connect": {}})
        await socket.receive_json(timeout=5)
        publication = {"channel": "prices:NYSE", "data": {}}
        await socket.send_json({"id": 2, "publish": publication})
        assert (await socket.receive_json(timeout=5))["error"]["code"] == 103  # permission denied
    async with outside.http.post("/api/publish", json=publication) as answer:
        assert answer.status == 404  # the api's 404: Centrifugo's own /api isn't reached


@pytest.mark.parametrize("path", ["/api/nope", "/api/", "/nope", "/api/prices/NOPE"])
async def test_an_unknown_path_is_a_problem_that_a_program_can_read(
    outside: Outside, path: str
) -> None:
    async with outside.http.get(path) as answer:
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"
        problem = await answer.json(content_type=None)
    assert problem["status"] == 404
    assert {"type", "title", "detail"} <= problem.keys()


async def test_an_api_that_is_away_is_a_problem_in_json_and_then_it_is_back(
    outside: Outside,
) -> None:
    await asyncio.to_thread(outside.system.take_away, "api")
    try:

        async def refused() -> bool:
            """Until its name is gone too, a container's address may be asked in vain: 504."""
            async with outside.http.get("/api/health") as answer:
                assert answer.status in {502, 504}
                assert answer.content_type == "application/problem+json"
                assert (await answer.json(content_type=None))["status"] == answer.status
                assert answer.headers["Retry-After"]
                return answer.status == 502

        await wait_until(refused, limit=20)
        async with outside.http.get("/") as page:
            assert page.status == 200
    finally:
        await asyncio.to_thread(outside.system.bring_back, "api")
    assert await wait_until(lambda: outside.get("/api/health"), limit=15) == {"status": "ok"}
