"""api: the same prices as JSON, CSV and lines, in either order; and what may be kept of them."""

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest

from api.export import CHUNK
from api.ranges import rfc3339
from tests.api_process import LONG, Api, store, tick
from tests.conftest import Database

ODD = 'N"Y,S'  # what a channel may be called
DAY = 86_400_000_000  # in µs
TICKS = [tick(0, "5.10"), tick(1, "6", nth=3), tick(2, "7.000", exchange=ODD), tick(DAY * 40, "8")]


async def rows(api: Api, address: str) -> list[dict[str, Any]]:
    """Of a CSV or of lines, as the points of the JSON."""
    answer = await api.get(address)
    assert answer.status == 200, answer.body
    text = answer.body.decode()
    assert text.endswith("\n")
    if answer.headers["Content-Type"].startswith("text/csv"):
        return [dict(row) for row in csv.DictReader(StringIO(text))]
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line, parse_float=str, parse_int=str) for line in text.splitlines()]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_every_format_and_order_has_the_same_prices(
    api: Api, postgres: Database, form: str, order: str
) -> None:
    await store(postgres.connection, TICKS)

    whole = json.loads((await api.get("/api/prices/TSLA")).body, parse_float=str, parse_int=str)
    found = await rows(api, f"/api/prices/TSLA?format={form}&order={order}")

    assert [each["price"] for each in whole["prices"]] == ["5.10", "6", "7.000", "8"]
    assert whole["prices"][2]["exchange_name"] == ODD
    assert found == (whole["prices"] if order == "asc" else whole["prices"][::-1])


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_go_on_behind_a_cursor_or_behind_the_last_id(
    api: Api, postgres: Database, limit: int, order: str
) -> None:
    await store(postgres.connection, TICKS)
    address = f"/api/prices/TSLA?limit={limit}&order={order}"
    expected = ["5.10", "6", "7.000", "8"][:: 1 if order == "asc" else -1]

    pages = [(await api.get(address)).json]
    while cursor := pages[-1]["next_cursor"]:
        pages.append((await api.get(f"{address}&cursor={cursor}")).json)
    assert [str(each["price"]) for page in pages for each in page["prices"]] == expected
    assert len(pages) == -(-4 // limit)

    lines: list[dict[str, Any]] = []
    while page := await rows(
        api, f"{address}&format=csv" + (f"&cursor={lines[-1]['id']}" if lines else "")
    ):
        lines += page
    assert [each["price"] for each in lines] == expected


async def test_a_long_answer_backwards_is_whole(api: Api, postgres: Database) -> None:
    await postgres.connection.execute(LONG)

    ids = [each["id"] for each in await rows(api, "/api/prices/LONG?format=csv&order=desc")]
    assert ids == [f"{1700049600000 + n}-0" for n in reversed(range(200_000))]

    limit = 2 * CHUNK + 1
    page = (await api.get(f"/api/prices/LONG?limit={limit}&order=desc")).json
    assert [each["id"] for each in page["prices"]] == ids[:limit]


async def test_candles_are_to_be_had_as_csv_and_as_lines(api: Api, postgres: Database) -> None:
    await store(postgres.connection, TICKS)

    for form in ("csv", "ndjson"):
        found = await rows(api, f"/api/candles/TSLA?format={form}&interval=1d")
        assert [(each["close"], each["count"]) for each in found] == [("7.000", "3"), ("8", "1")]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/jsonl;q=0.9, text/csv;q=0.5", "application/x-ndjson"),
        ("text/csv;q=0, */*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("image/png", "application/json"),
        ("text/csv;q=x", "application/json"),
    ],
)
async def test_accept_chooses_the_format(
    api: Api, postgres: Database, accept: str, expected: str
) -> None:
    await store(postgres.connection, TICKS)

    for address in ("/api/prices/TSLA", "/api/candles/TSLA"):
        async with api.open(address, headers={"Accept": accept}) as response:
            assert response.headers["Content-Type"] == expected
            assert "Accept" in response.headers["Vary"]
        async with api.open(f"{address}?format=json", headers={"Accept": accept}) as response:
            assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("what", ["prices", "average", "candles"])
async def test_who_has_an_answer_is_told_so_until_it_changes(
    api: Api, postgres: Database, what: str
) -> None:
    await store(postgres.connection, TICKS)
    address = f"/api/{what}/TSLA?end_time=2024-01-01T00:00:00Z"
    tag = (await api.get(address)).headers["ETag"]

    async with api.open(address, headers={"If-None-Match": f'"x", W/{tag}'}) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == tag
        assert response.headers["Cache-Control"] == "public, max-age=3600"
    head = await api.request("HEAD", address)
    assert (head.status, head.headers["ETag"]) == (200, tag)

    await store(postgres.connection, [tick(5, "9")])  # late
    async with api.open(address, headers={"If-None-Match": tag}) as response:
        assert response.status == 200
        assert response.headers["ETag"] != tag


async def test_what_still_grows_is_not_kept(api: Api, postgres: Database) -> None:
    await store(postgres.connection, TICKS)
    now = datetime.now(UTC)

    for end, kept in (
        ("", "no-store"),
        (f"?end_time={rfc3339(now + timedelta(hours=1))}", "no-store"),
        (f"?end_time={rfc3339(now - timedelta(hours=1))}", "public, no-cache"),
    ):
        for what in ("prices", "average", "candles"):
            answer = await api.get(f"/api/{what}/TSLA{end}")
            assert answer.headers["Cache-Control"] == kept
            assert ("ETag" in answer.headers) == (kept != "no-store")


async def test_what_is_dropped_changes_the_tag(api: Api, postgres: Database) -> None:
    await store(postgres.connection, TICKS)
    address = "/api/prices/TSLA?end_time=2024-01-01T00:00:00Z"
    tag = (await api.get(address)).headers["ETag"]

    await postgres.connection.execute("DELETE FROM stock_prices WHERE timestamp < '2023-11-16Z'")

    assert (await api.get(address)).headers["ETag"] != tag
    assert Decimal((await api.get(address)).json["prices"][0]["price"]) == 8
