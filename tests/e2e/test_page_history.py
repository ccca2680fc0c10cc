"""Chart and history in a Chromium: no seam between past and live, the state in the address."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from time import time_ns
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Error, Page, Route, expect

from tests.api_process import NOON, tick
from tests.feeding import publish, stored
from tests.looks import check
from tests.target import Target
from tests.viewer import SLOW, ZONE
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

FORM = ["5.5", "7.25", "4.75", "6", "3.5", "8.125", "5.75"]  # prices of a stock of that name
HALF_A_MILLION = """
INSERT INTO stock_prices (timestamp, stock_name, exchange_name, price, event_id)
SELECT to_timestamp(ms / 1000.0), 'BULK', 'NYSE', 5.25, ms << 20
FROM generate_series(1700049600000::bigint, 1700099599900, 100) AS ms
"""
MINUTE_US = 60_000_000
CHARTS = re.compile(r"/vendor/lightweight-charts")
ODD = ["a\"b'c", "<script>alert(1)</script>", "z" * 255, "\u05d1\u05d5\u05e7\u05e8"]


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, system: Target) -> AsyncIterator[Page]:
    """A page that is still to go somewhere."""
    async with await browser.new_context(base_url=system.url, timezone_id=ZONE) as context:
        yield await context.new_page()


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def form(system: Target) -> AsyncIterator[None]:
    """A stock with few prices, all within the last minutes."""
    at = time_ns() // 1000 - NOON - MINUTE_US
    async with stored(system, "FORM", [tick(at + i, p, "FORM") for i, p in enumerate(FORM)]):
        yield


async def test_the_chart_has_each_tick_once_from_the_past_into_the_live(
    page: Page, system: Target
) -> None:
    past, live = ["5.5", "7.25", "4.75"], ["6", "3.5", "8.125", "5.75"]
    await publish(system, *(f"SEAM:{price}" for price in past))
    await wait_until(partial(has, page, "SEAM", len(past)), limit=20)
    await page.goto("/?chart=SEAM")
    await expect(page.locator("#chart-count")).to_have_text(str(len(past)), timeout=SLOW)
    await expect(page.locator("#state")).to_have_attribute("data-state", "live", timeout=SLOW)
    await publish(system, *(f"SEAM:{price}" for price in live))
    await expect(page.locator("#chart-count")).to_have_text("7", timeout=SLOW)
    await wait_until(partial(has, page, "SEAM", 7), limit=20)
    await page.reload()  # what was live is the past now
    await expect(page.locator("#chart-count")).to_have_text("7", timeout=SLOW)
    await publish(system, "SEAM:6", "SEAM:6.5")  # not stored, nor in the feed of who comes now,
    await page.reload()  # who has but the last of them in the snapshot
    await expect(page.locator("#chart-count")).to_have_text("9", timeout=SLOW)
    for name, price in {"open": "5.5", "high": "8.125", "low": "3.5", "close": "6.5"}.items():
        await expect(page.locator(f"#chart-{name}")).to_have_text(price)


async def test_the_keys_read_the_chart_candle_by_candle(page: Page) -> None:
    await page.goto("/?chart=FORM&kind=line")
    await expect(page.locator("#chart-count")).to_have_text("7", timeout=SLOW)
    await (
        page.get_by_role("button", name="1 h", exact=True)
        .and_(page.locator("#chart-widths button"))
        .click()
    )
    await expect(page.locator("#chart-range")).to_contain_text("1 hour", timeout=SLOW)
    assert page.url.endswith("/?chart=FORM&kind=line&width=1h")
    await page.locator("#chart").focus()
    await page.keyboard.press("End")
    await expect(page.locator("#chart-reading")).to_contain_text("close 5.75")
    await page.keyboard.press("Escape")
    await expect(page.locator("#chart-reading")).to_be_empty()


async def test_the_address_holds_the_question_and_the_way_back_asks_it_again(page: Page) -> None:
    await page.goto("/?stock=FORM&range=1h")
    caption = page.locator("#history-caption")
    await expect(caption).to_have_text("FORM, points 1 to 7 of 7", timeout=SLOW)
    await expect(page.locator("#history-chart-text")).to_have_text("Each of the 7 points.")
    await expect(page.locator("#history-loading")).to_have_text("7 points.")
    stock = page.get_by_label("Stock", exact=True)
    await stock.fill("NO SUCH")
    await page.get_by_role("button", name="Show history").click()
    await expect(page.locator("#history-error")).to_be_visible()
    assert page.url.endswith("/?stock=NO+SUCH&range=1h")
    await page.go_back()
    await expect(caption).to_have_text("FORM, points 1 to 7 of 7")
    assert await stock.input_value() == "FORM"
    await stock.fill("TYPED")
    await page.locator(".skip").focus()
    await page.keyboard.press("Enter")  # goes to a part of the page, and asks for nothing
    await page.wait_for_url("**/*#*")
    await expect(stock).to_have_value("TYPED")
    await page.goto("/?stock=FORM&start=1763000000&end=2026-01-01T00:00")  # without an offset: UTC
    await expect(page.locator("#history-range")).to_have_text(
        "2025-11-13 07:43:20 to 2026-01-01 05:30", timeout=SLOW
    )
    await expect(page.get_by_label("Start")).to_have_value("2025-11-13T07:43:20")
    await expect(page.get_by_label("End")).to_have_value("2026-01-01T05:30")
    await expect(page.locator("#history-loading")).to_have_text("No price.")
    await page.goto("/?stock=FORM&start=yesterday")
    answer = await page.request.get("/api/prices/FORM?start_time=yesterday")
    await expect(page.locator("#history-error")).to_have_text((await answer.json())["detail"])


async def test_form_chart_and_table_are_about_the_same_stock(page: Page) -> None:
    await page.goto("/?chart=FORM")
    await expect_stock(page, "FORM")
    await page.locator("#live-table tr[data-stock=TSLA] button").click()
    await expect_stock(page, "TSLA")
    stock = page.get_by_label("Stock", exact=True)
    await expect(stock).to_have_value("TSLA")
    await stock.fill("FORM")
    await page.get_by_role("button", name="Show history").click()
    await expect_stock(page, "FORM")
    await expect(page.locator("#show-history")).to_be_focused()
    await page.go_back()
    await expect_stock(page, "TSLA")


async def test_the_download_is_the_range_that_is_shown(page: Page) -> None:
    await page.goto("/?stock=FORM&range=today")
    await expect(page.locator("#history-caption")).to_contain_text("of 7", timeout=SLOW)
    async with page.expect_download() as started:
        await page.get_by_role("link", name="CSV").click()
    download = await started.value
    assert re.fullmatch(r"FORM_[\dTZ-]+_[\dTZ-]+\.csv", download.suggested_filename)
    rows = list(csv.DictReader(io.StringIO((await download.path()).read_text())))
    assert [row["price"] for row in rows] == FORM


async def test_a_chart_that_cannot_be_drawn_says_why_and_is_drawn_with_the_next_question(
    page: Page,
) -> None:
    """Its program can't be had, and the feed doesn't answer either."""
    words = "The program that draws charts can't be loaded."
    await page.route(CHARTS, lambda route: route.abort())
    await page.route_web_socket("**/connection/websocket", lambda _: None)
    await page.goto("/?stock=FORM&range=1h")
    told = page.locator("#history-chart-text")
    await expect(told).to_have_text(f"The chart can't be shown: {words}", timeout=SLOW)
    await expect(page.locator("#chart-message")).to_have_text(words, timeout=SLOW)
    await expect(page.locator("#history-rows tr")).to_have_count(7)
    await expect(page.locator("#state")).to_have_text("Connecting…")
    await check(page, "connecting")
    await page.unroute(CHARTS)
    await page.get_by_role("button", name="Show history").click()
    await expect(told).to_have_text("Each of the 7 points.", timeout=SLOW)
    await expect(page.locator("#history-chart canvas").first).to_be_visible()


async def test_the_average_of_the_last_ten_minutes_is_one_press_away(
    page: Page, system: Target
) -> None:
    now = time_ns() // 1000 - NOON
    prices = {11: "1", 9: "5.5", 1: "6"}  # by minutes ago
    ticks = [tick(now - ago * MINUTE_US, price, "TEN") for ago, price in prices.items()]
    async with stored(system, "TEN", ticks):
        await page.goto("/?stock=TEN&range=all")
        await expect(page.locator("#count")).to_have_text("3", timeout=SLOW)
        await page.get_by_role("button", name="10 min").click()
        await expect(page.locator("#average")).to_have_text("5.75")
    assert page.url.endswith("/?stock=TEN&range=10m")


async def test_an_answer_that_takes_long_can_be_cancelled_and_overtaken(page: Page) -> None:
    arrived, released, answers = asyncio.Semaphore(0), asyncio.Event(), asyncio.Semaphore(0)
    asked = re.compile(r"/api/prices\?.*limit=1000$")  # the chart's questions are others

    async def hold(route: Route) -> None:
        arrived.release()
        await released.wait()
        with suppress(Error):  # nobody waits for it
            await route.fulfill(response=await route.fetch())
        answers.release()

    await page.goto("/")
    loading, caption = page.locator("#history-loading"), page.locator("#history-caption")
    await page.route(asked, hold)
    await page.get_by_label("Stock", exact=True).fill("FORM")
    await page.get_by_role("button", name="Show history").click()
    await asyncio.wait_for(arrived.acquire(), 30)
    await expect(loading).to_have_text("Loading…")
    await check(page, "loading")
    await page.get_by_role("button", name="Cancel").click()
    await expect(loading).to_have_text("Cancelled.")
    await expect(page.locator("#show-history")).to_be_focused()
    await check(page, "cancelled")
    await page.get_by_role("button", name="15 min").click()
    await asyncio.wait_for(arrived.acquire(), 30)
    await page.unroute(asked)
    await page.get_by_label("Stock", exact=True).fill("TSLA")
    await page.get_by_role("button", name="Show history").click()
    await expect(caption).to_contain_text("TSLA")
    released.set()
    for _ in range(2):
        await asyncio.wait_for(answers.acquire(), 30)
    await page.evaluate("fetch('/api/average?stock_name=FORM').then((answer) => answer.text())")
    await expect(caption).to_contain_text("TSLA")
    await expect(loading).to_contain_text("point")


async def test_a_missed_range_is_asked_for_and_shown_in_the_form(page: Page) -> None:
    await page.goto("/")
    await page.get_by_label("Stock", exact=True).fill("FORM")
    await page.evaluate(
        """() => document.dispatchEvent(new CustomEvent("rangechosen", {detail: {
             start: new Date(Date.now() - 3600000), end: new Date()}}))"""
    )
    await expect(page.locator("#history-caption")).to_have_text("FORM, points 1 to 7 of 7")
    assert await page.get_by_label("Start").input_value()
    assert await page.get_by_label("End").input_value()


async def test_names_of_any_kind_are_text_and_fit_a_phone(page: Page, system: Target) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await publish(system, *(f"{name}:123456789012.345" for name in ODD))
    for name in ODD:
        await wait_until(partial(has, page, name, 1), limit=20)
        await page.goto("/")
        await page.evaluate(
            """(stock) => document.dispatchEvent(
                 new CustomEvent("stockchosen", {detail: {stock, exchange: "NYSE"}}))""",
            name,
        )
        await expect(page.locator("#chart-close")).to_have_text("123456789012.345", timeout=SLOW)
        assert await page.locator("#chart-stock").text_content() == name
        assert await page.get_by_label("Stock", exact=True).input_value() == name
        await page.get_by_role("button", name="All").click()
        await expect(page.locator("#history-caption")).to_have_text(f"{name}, points 1 to 1 of 1")
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, name


async def test_half_a_million_points_are_a_page_a_chart_and_their_count(
    page: Page, system: Target
) -> None:
    async with stored(system, "BULK", []) as owner:
        await owner.execute(HALF_A_MILLION)
        await page.goto("/?stock=BULK&range=all")
        caption = page.locator("#history-caption")
        await expect(caption).to_have_text("BULK, points 1 to 1,000 of 500,000", timeout=SLOW)
        await expect(page.locator("#history-chart-text")).to_contain_text("day", timeout=SLOW)
        await expect(page.locator("#history-rows tr")).to_have_count(1000)
        await page.get_by_role("button", name="Next page").click()
        await expect(caption).to_have_text("BULK, points 1,001 to 2,000 of 500,000", timeout=SLOW)


async def expect_stock(page: Page, stock: str) -> None:
    """On the chart, and in no other row of the table."""
    await expect(page.locator("#chart-stock")).to_have_text(stock, timeout=SLOW)
    pressed = page.locator("#live-table button[aria-pressed=true]")
    await expect(pressed).to_have_text(stock, timeout=SLOW)


async def has(page: Page, stock: str, count: int) -> bool:
    answer = await page.request.get("/api/average", params={"stock_name": stock})
    said: dict[str, Any] = await answer.json()
    return said.get("count") == count
