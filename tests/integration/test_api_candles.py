"""api: candles and averages, which are read from candles, against the ticks themselves."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.ranges import rfc3339
from tests.api_process import Api, Tick, store, tick
from tests.conftest import Database

MIDDAY = datetime(2023, 11, 15, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000  # in µs
AVERAGE = """
SELECT avg(price)::text, count(*) FROM stock_prices
WHERE stock_name = 'TSLA' AND timestamp >= $1 AND timestamp < $2
"""


def scattered(count: int, over_us: int) -> list[Tick]:
    """Reproducible, with prices of many digits, some of them at the very edges."""
    dice = random.Random(7)  # noqa: S311  # ticks, not secrets
    moments = {0, MINUTE - 1, MINUTE, HOUR - 1, HOUR, DAY, *dice.sample(range(over_us), count)}
    return [
        tick(at, str(Decimal(dice.randrange(1, 10**9)).scaleb(-dice.randrange(7))))
        for at in sorted(moments)
    ]


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "1h", "1d"])
async def test_candles_are_what_the_ticks_say(api: Api, postgres: Database, interval: str) -> None:
    width = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "1d": 1440}[interval]
    ticks = scattered(400, 2 * DAY)
    await store(postgres.connection, ticks[::2])
    await store(postgres.connection, ticks[1::2])

    answer = await api.get(f"/api/candles/TSLA?interval={interval}&limit=10000")

    expected = list(by_hand(ticks, timedelta(minutes=width)))
    assert [{k: str(v) for k, v in each.items()} for each in without_average(answer)] == expected
    assert answer.json["next_cursor"] is None
    for each in answer.json["candles"]:
        began = datetime.fromisoformat(each["start_time"])
        mean, _ = await from_ticks(postgres, began, began + timedelta(minutes=width))
        assert str(each["average"]) == mean


def without_average(answer: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in each.items() if k != "average"} for each in answer.json["candles"]]


def by_hand(ticks: Iterable[Tick], width: timedelta) -> Iterable[dict[str, str]]:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    grouped: dict[datetime, list[Tick]] = {}
    for each in ticks:
        grouped.setdefault(each[0] - (each[0] - epoch) % width, []).append(each)
    for begin, some in grouped.items():
        prices = [price for *_, price, _ in some]
        values = (prices[0], max(prices), min(prices), prices[-1])
        yield {
            "start_time": rfc3339(begin),
            **dict(zip(("open", "high", "low", "close"), map(str, values), strict=True)),
            "count": str(len(some)),
        }


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_pages_of_candles_hold_each_once_and_skip_times_without_ticks(
    api: Api, postgres: Database, limit: int
) -> None:
    minutes = [0, 1, 2, 50, 51, 3000, 3001, 9000]
    await store(postgres.connection, [tick(n * MINUTE, "5") for n in minutes])
    address = f"/api/candles/TSLA?limit={limit}"

    pages = [(await api.get(address)).json]
    while cursor := pages[-1]["next_cursor"]:
        pages.append((await api.get(f"{address}&cursor={cursor}")).json)

    found = [each["start_time"] for page in pages for each in page["candles"]]
    assert found == [rfc3339(MIDDAY + timedelta(minutes=n)) for n in minutes]
    assert all(1 <= len(page["candles"]) <= limit for page in pages)


async def test_candles_that_begin_in_the_range_are_whole(api: Api, postgres: Database) -> None:
    await store(postgres.connection, [tick(n * MINUTE // 2, str(n + 1)) for n in range(20)])
    times = "start_time=2023-11-15T12:00:30Z&end_time=2023-11-15T12:05:01Z"

    found = (await api.get(f"/api/candles/TSLA?{times}")).json["candles"]

    assert [each["start_time"][14:16] for each in found] == ["01", "02", "03", "04", "05"]
    assert {each["count"] for each in found} == {2}
    assert (await api.get("/api/candles/NOPE")).status == 404
    empty = (await api.get("/api/candles/TSLA?end_time=1999-01-01")).json
    assert (empty["candles"], empty["next_cursor"]) == ([], None)


async def test_candles_outlive_their_ticks(api: Api, postgres: Database) -> None:
    await store(postgres.connection, [tick(0, "5"), tick(1, "6.00"), tick(DAY * 9, "7")])
    await postgres.connection.execute("DELETE FROM stock_prices WHERE timestamp < '2023-11-16Z'")

    found = (await api.get("/api/candles/TSLA?interval=1d")).json["candles"]
    average = (await api.get("/api/average/TSLA?end_time=2023-11-16")).json
    prices = (await api.get("/api/prices/TSLA")).json["prices"]

    assert [(str(each["close"]), each["count"]) for each in found] == [("6.00", 2), ("7", 1)]
    assert (str(average["average"])[:4], average["count"]) == ("5.50", 2)
    assert [str(each["price"]) for each in prices] == ["7"]


async def test_an_average_of_any_range_is_that_of_its_ticks_to_the_last_digit(
    api: Api, postgres: Database
) -> None:
    ticks = scattered(300, 30 * HOUR)
    await store(postgres.connection, ticks)
    dice = random.Random(8)  # noqa: S311  # times, not secrets
    edges = [0, MINUTE, HOUR, DAY, 59 * MINUTE, *(dice.randrange(31 * HOUR) for _ in range(12))]
    for first in edges:
        for last in (first, first + 1, *dice.sample(edges, 3)):
            begin, end = (MIDDAY + timedelta(microseconds=at) for at in sorted((first, last)))
            address = f"/api/average/TSLA?start_time={rfc3339(begin)}&end_time={rfc3339(end)}"
            answer = (await api.get(address)).json
            found = None if answer["average"] is None else str(answer["average"])
            expected = await from_ticks(postgres, begin, end)
            assert (found, answer["count"]) == expected, (begin, end)


async def from_ticks(postgres: Database, begin: datetime, end: datetime) -> tuple[str | None, int]:
    [(mean, count)] = await postgres.connection.fetch(AVERAGE, begin, end)
    return mean, count
