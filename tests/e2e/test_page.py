"""The page in a headless Chromium, through nginx's port: live prices, history, recovery, docs."""

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from time import time_ns
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.api_process import NOON, tick
from tests.feeding import publish, stored
from tests.target import Target
from tests.viewer import (
    OFFSET,
    OWN_FILES,
    RECORD_STATES,
    SLOW,
    ask,
    knows,
    listed,
    price_of,
    record_troubles,
)
from tests.waiting import wait_until

# One event loop and one browser for all; the first test may have to install a Chromium.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

STOCKS = ["NASDAQ AAPL", "NASDAQ AMZN", "NASDAQ MSFT", "NYSE DIS", "NYSE NFLX", "NYSE TSLA"]
HOUR_US = 3_600_000_000
PRICE = price_of("TSLA")
HEAVIEST = 150_000  # bytes that a first visit loads, compressed


async def test_the_page_lists_the_six_stocks_by_exchange_and_name(page: Page) -> None:
    rows = page.locator("#live-table tr[data-stock]")
    for each in STOCKS:
        exchange, stock = each.split()
        row = page.locator(f"#live-table tr[data-exchange={exchange}][data-stock={stock}]")
        await expect(row).to_be_visible(timeout=SLOW)
    shown = await rows.evaluate_all(
        "rows => rows.map(({dataset}) => `${dataset.exchange} ${dataset.stock}`)"
    )
    assert [each for each in shown if each in STOCKS] == STOCKS  # other tests have theirs
    assert await page.locator("#live-table tr.group").all_inner_texts() == ["NASDAQ", "NYSE"]


async def test_the_page_shows_a_price_that_changes(page: Page) -> None:
    price = page.locator(PRICE)
    before = await price.inner_text()
    await expect(price).not_to_have_text(before, timeout=SLOW)
    change = page.locator("#live-table tr[data-stock=TSLA] td:nth-child(3)")
    said = re.compile(r"^(▲up |▼down |=unchanged )\W?[\d.]+ \W?[\d.]+%$")
    await expect(change).to_have_text(said)
    await expect(page.locator("#last-tick")).to_have_text(re.compile("^(now|[1-9]\u00a0s)$"))


async def test_the_history_listed_is_what_the_api_says(page: Page) -> None:
    start, end = await past_range(page)
    await ask(page, "TSLA", start, end)
    said, average = [await api(page, kind, start, end) for kind in ("prices", "average")]
    rows = page.locator("#history-rows tr")
    await expect(rows).to_have_count(len(said["prices"]))
    assert len(said["prices"]) >= 10
    assert await listed(page) == [point_as_shown(point) for point in said["prices"]]
    await expect(page.locator("#count")).to_have_text(f"{average['count']:,}")
    await expect(page.locator("#average")).to_have_text(digits(average["average"]))


async def test_the_history_is_turned_page_by_page(page: Page) -> None:
    async def smaller(route: Route) -> None:
        await route.continue_(url=route.request.url.replace("limit=1000", "limit=6"))

    await page.route(re.compile(r"/api/prices\?"), smaller)
    start, end = await past_range(page)
    said = (await api(page, "prices", start, end))["prices"]
    await ask(page, "TSLA", start, end)
    pages = [
        [point_as_shown(point) for point in said[at : at + 6]] for at in range(0, len(said), 6)
    ]
    await wait_until(lambda: shows(page, pages[0]))
    for expected in pages[1:]:
        await page.get_by_role("button", name="Next page").click()
        await wait_until(partial(shows, page, expected))
    await expect(page.get_by_role("button", name="Next page")).to_be_disabled()
    await page.get_by_role("button", name="Previous page").click()
    await wait_until(lambda: shows(page, pages[-2]))


async def test_a_range_without_prices_is_said_to_be_empty(page: Page) -> None:
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    await ask(page, "TSLA", long_ago, long_ago + timedelta(hours=1))
    await expect(page.locator("#history-empty")).to_have_text("TSLA has no price in this range.")
    await expect(page.locator("#average")).to_have_text("none")
    soon = datetime.now(UTC) + timedelta(hours=1)
    await ask(page, "TSLA", soon, soon + timedelta(hours=1))
    await expect(page.locator("#history-empty")).to_contain_text("in this range yet;")


async def test_an_unknown_stock_is_answered_with_the_apis_own_words(page: Page) -> None:
    name = "<b>NOPE</b>"
    answer = await page.request.get(f"/api/prices/{quote(name, safe='')}")
    assert answer.status == 404
    await ask(page, name)
    await expect(page.locator("#history-error")).to_have_text((await answer.json())["detail"])
    await expect(page.locator("#history-error b")).to_have_count(0)


async def test_a_stock_whose_name_looks_like_a_path_has_its_history(
    page: Page, system: Target
) -> None:
    names = [".", "..", "../../../x"]
    await publish(system, *(f"{name}:5.25" for name in names))
    for name in names:
        await wait_until(partial(knows, page, name), limit=20)
        await ask(page, name)
        await expect(page.locator("#history-caption")).to_have_text(f"{name}, points 1 to 1 of 1")
        assert [row[2:] for row in await listed(page)] == [["NYSE", "5.25"]]


async def test_a_tick_by_a_clock_that_is_ahead_is_in_a_history_without_an_end(
    page: Page, system: Target
) -> None:
    ahead = tick(time_ns() // 1000 - NOON + HOUR_US, "5.25", "AHEAD")
    async with stored(system, "AHEAD", [ahead]):
        await ask(page, "AHEAD")
        await expect(page.locator("#history-caption")).to_have_text("AHEAD, points 1 to 1 of 1")
        await expect(page.locator("#average")).to_have_text("5.25")


async def test_the_page_loads_without_an_error_or_a_refused_resource(
    browser: Browser, system: Target
) -> None:
    async with await browser.new_context(base_url=system.url) as context:
        page = await context.new_page()
        troubles = record_troubles(page)
        await page.goto("/")
        await expect(page.locator("#state")).to_have_text("Live", timeout=SLOW)
        await ask(page, "TSLA")
        await expect(page.locator("#history-summary")).to_be_visible()
    assert troubles == []


async def test_the_page_is_light(browser: Browser, system: Target) -> None:
    async with await browser.new_context(base_url=system.url) as context:
        page = await context.new_page()
        await page.goto("/")
        await expect(page.locator("#chart canvas").first).to_be_visible(timeout=SLOW)
        files = sorted((size, path) for path, size, _ in await page.evaluate(OWN_FILES))[::-1]
    assert any("lightweight-charts" in path for _, path in files)
    assert sum(size for size, _ in files) < HEAVIEST, f"the largest: {files[:5]}"


async def test_the_snapshot_is_asked_for_once_more_when_what_was_in_hand_is_stored(
    browser: Browser, system: Target
) -> None:
    """A price that came just before the page was opened isn't in the table yet, nor in the feed."""
    async with await browser.new_context(base_url=system.url) as context:
        page = await context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await publish(system, "ONCE:5.25")
        await page.goto("/")
        await wait_until(lambda: [u.endswith("/api/stocks") for u in asked].count(True) == 2, 30)
        await expect(page.locator("#live-table tr[data-stock=ONCE]")).to_contain_text("5.25")


async def test_the_documentation_page_shows_the_apis_operations(
    browser: Browser, system: Target
) -> None:
    async with await browser.new_context(base_url=system.url) as context:
        page = await context.new_page()
        troubles = record_troubles(page)
        await page.goto("/api/docs")
        operations = page.locator(".opblock-summary-path")
        await expect(operations.filter(has_text="/prices/")).to_be_visible(timeout=SLOW)
        await expect(operations.filter(has_text="/average/")).to_be_visible()
    assert troubles == []


async def test_the_page_recovers_by_itself_after_centrifugo_was_killed(
    page: Page, system: Target
) -> None:
    await page.evaluate(RECORD_STATES)
    system.kill("centrifugo")
    await wait_until(lambda: recovered(page), limit=60)
    before = await page.locator(PRICE).inner_text()
    await expect(page.locator(PRICE)).not_to_have_text(before, timeout=SLOW)
    # Its history was in memory, so nobody can say what was missed: the page has to.
    await expect(page.locator("#gaps")).to_have_text("1")
    await expect(page.locator("#live-notice")).to_contain_text("were missed")


async def api(page: Page, kind: str, start: datetime, end: datetime) -> Any:
    query: dict[str, str | float | bool] = {
        "start_time": start.isoformat(),
        "end_time": end.isoformat(),
    }
    answer = await page.request.get(f"/api/{kind}/TSLA", params=query)
    assert answer.ok
    return await answer.json()


async def past_range(page: Page) -> tuple[datetime, datetime]:
    """Whole seconds that have 10 prices or more, and are stored to the end."""

    async def enough() -> list[datetime]:
        answer = await page.request.get("/api/prices/TSLA")
        prices = (await answer.json()).get("prices", [])  # none before the first flush
        times = [datetime.fromisoformat(price["timestamp"]) for price in prices]
        ends = [time.replace(microsecond=0) for time in times[-1:]]
        return ends if sum(time < ends[0] for time in times) >= 10 else []

    (end,) = await wait_until(enough, limit=60, what="10 stored prices of TSLA")
    return end - timedelta(seconds=30), end


async def recovered(page: Page) -> bool:
    states = await page.evaluate("window.states")
    return "reconnecting" in states and states[-1] == "live"


async def shows(page: Page, expected: list[list[str]]) -> bool:
    return await listed(page) == expected


def point_as_shown(point: dict[str, Any]) -> list[str]:
    time = datetime.fromisoformat(point["timestamp"]).astimezone(OFFSET)
    shown = f"{time:%Y-%m-%d %H:%M:%S.%f}"
    return [point["id"], shown, point["exchange_name"], digits(point["price"])]


def digits(price: float) -> str:
    """As many as a double holds for certain, and a sign where there were more."""
    certain = f"{price:.15g}"
    return certain if float(certain) == price else f"≈{certain}"
