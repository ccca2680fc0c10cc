"""What nobody would type or publish: it is shown as text, or refused, and the page lives on."""

from time import time_ns
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.centrifugo_api import publish
from tests.looks import TOO_WIDE, check
from tests.system import System
from tests.viewer import SLOW, ask, record_troubles

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

NAMES = [
    'O\'Neil"&Sons"',
    "<script>window.broken=1</script>",
    "<img/src=x/onerror=window.broken=1>",
    "x" * 255,
    "שלום",
    "سهم،أول",
    "__proto__",
]
TYPED = [
    *NAMES,
    "A B",
    "two  'quoted' <b>words</b>",
    "שלום עולם",
    "\N{RIGHT-TO-LEFT OVERRIDE}TSLA",
    "%00",
]
ANSWERED = "the server responded with a status of 4"  # the browser's word for an unknown stock
COLUMNS = ["id", "stock_name", "price", "received_us"]


def fed(*ticks: object, columns: object = COLUMNS, **more: object) -> dict[str, object]:
    return {"columns": columns, "ticks": list(ticks), "skipped": 0} | more


@pytest.fixture
def troubles(page: Page) -> list[str]:
    return record_troubles(page)


async def test_whatever_a_stock_is_called_is_text(
    page: Page, local: System, troubles: list[str]
) -> None:
    now = time_ns() // 1_000_000
    ticks = [[f"{now}-{number}", name, 5.25, 0] for number, name in enumerate(NAMES)]
    await publish(local, "prices:NYSE", fed(*ticks))
    for name in NAMES:
        await expect(row_of(page, name)).to_contain_text("5.25")
        await row_of(page, name).get_by_role("button").click()
        await expect(page.locator("#stock")).to_have_value(name)
        await expect(page.locator("#chart-stock")).to_have_text(name)
    assert troubles == []  # they are stored nowhere, and the chart knows that
    await expect_whole(page, troubles)


async def test_whatever_is_typed_is_answered_with_the_apis_own_words(
    page: Page, troubles: list[str]
) -> None:
    for typed in TYPED:
        answer = await page.request.get("/api/prices", params={"stock_name": typed, "limit": 1})
        assert answer.status in {404, 422}
        await ask(page, typed)
        said = (await answer.json())["detail"]
        await expect(page.locator("#history-error")).to_have_text(said, timeout=SLOW)
    await expect_whole(page, troubles)


ID = "1763000000000-1"
NO_PRICE: list[object] = ["5.25", None, True, [5.25], {}]
NO_NAME: list[object] = [None, 5, "", ["BAD"], {"toString": "BAD"}]
NO_ID: list[object] = [5, None, "", "now", "1-2-3", [ID]]
NO_TICK: list[object] = [None, 5, "BAD", {}, []]
NO_LIST: list[object] = [None, "id,stock_name,price", 5, {}]
NO_COUNT: list[object] = ["5", -1, 1.5, [], {}]
NO_MESSAGE: list[object] = [{}, [], "BAD", 5]
WRONG = [  # each is refused once
    fed([ID, "BAD"], columns=["id", "stock_name"]),
    fed([ID, 5.25], columns=["id", "price"]),
    fed(["BAD", 5.25], columns=["stock_name", "price"]),
    *(fed([ID, "BAD", price, 0]) for price in NO_PRICE),
    *(fed([ID, name, 5.25, 0]) for name in NO_NAME),
    *(fed([each, "BAD", 5.25, 0]) for each in NO_ID),
    *(fed(tick) for tick in NO_TICK),
    *(fed(columns=columns) for columns in NO_LIST),
    *(fed() | {"ticks": ticks} for ticks in NO_LIST),
    *(fed(skipped=skipped) for skipped in NO_COUNT),
    *NO_MESSAGE,
]


async def test_a_message_that_is_wrong_is_refused_and_the_feed_goes_on(
    page: Page, local: System, troubles: list[str]
) -> None:
    for data in WRONG:
        await publish(local, "prices:NYSE", data)
    now = f"{time_ns() // 1_000_000}-1"
    known = fed([now, "KNOWN", 5.25, 0, "!"], columns=[*COLUMNS, "mood"], more={"a": [1]})
    huge = fed([now, "HUGE", 1e300, 0], [now, "NEGATIVE", -5.5, 0], [now, "<b>Bold", 1.5, 0])
    for data in (known, huge):
        await publish(local, "prices:NYSE", data)
    for name, price in {"KNOWN": "5.25", "NEGATIVE": "-5.5", "<b>Bold": "1.5"}.items():
        await expect(row_of(page, name)).to_contain_text(price)
    await expect(page.locator("#refused")).to_have_text(str(len(WRONG)))
    await expect(page.locator("#live-notice")).to_contain_text("can't be used")
    await check(page, "refused")
    await expect(row_of(page, "BAD")).to_have_count(0)
    await expect(page.locator("#state")).to_have_text("Live")
    await expect_whole(page, troubles)


def row_of(page: Page, stock: str) -> Any:
    """By its text: such names make no selector."""
    rows = page.locator("#live-table tr[data-stock]")
    return rows.filter(has=page.get_by_text(stock, exact=True))


async def expect_whole(page: Page, troubles: list[str]) -> None:
    """No markup came to life, nothing complained, and nothing pushes the page out of its width."""
    assert [each for each in troubles if ANSWERED not in each] == []
    assert await page.evaluate("'broken' in window") is False
    assert await page.locator("main script, main b, main img").count() == 0
    assert not await page.evaluate(TOO_WIDE)
