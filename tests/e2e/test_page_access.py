"""The page for whoever has no mouse, sees no colours or looks at a phone: keyboard and axe-core."""

import re
from datetime import UTC, datetime

import pytest
from playwright.async_api import Page, Route, expect

from tests.looks import LOOKS, check
from tests.viewer import SLOW, ask, knows, price_of
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("local"),
]

MOST_STOPS = 60  # of the Tab key, on the whole page


async def test_the_way_from_a_stock_to_its_history_needs_only_a_keyboard(page: Page) -> None:
    await wait_until(lambda: knows(page, "NFLX"), limit=30)
    await stop_at(page, "#live-table tr[data-stock=NFLX] button")
    await page.keyboard.press("Enter")
    await expect(page.locator("#stock")).to_have_value("NFLX")
    await stop_at(page, "#stock")
    await stop_at(page, "#show-history")
    await page.keyboard.press("Enter")
    await expect(page.locator("#history-caption")).to_contain_text("NFLX, points", timeout=SLOW)
    await stop_at(page, "#history-csv")


async def test_arrows_go_from_stock_to_stock(page: Page) -> None:
    first = page.locator("#live-table button.stock").first
    await first.focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("#live-table button.stock").nth(1)).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(first).to_be_focused()


async def test_live_prices_and_their_chart_are_for_everybody(page: Page) -> None:
    await page.locator("#live-table tr[data-stock=TSLA] button").click()
    await expect(page.locator("#chart canvas").first).to_be_visible()
    await check(page, "live", *LOOKS)


async def test_a_history_is_for_everybody(page: Page) -> None:
    await page.route(re.compile(r"/api/prices\?.*limit=1000"), a_few)  # axe reads every cell
    await wait_until(lambda: knows(page, "TSLA"), limit=30)
    await ask(page, "TSLA")
    await expect(page.locator("#history-rows tr").first).to_be_visible(timeout=SLOW)
    await check(page, "history", *LOOKS)


async def test_what_is_not_there_is_said_to_everybody(page: Page) -> None:
    await wait_until(lambda: knows(page, "TSLA"), limit=30)
    await ask(page, "TSLA", datetime(2001, 1, 1, tzinfo=UTC), datetime(2001, 1, 2, tzinfo=UTC))
    await expect(page.locator("#history-empty")).to_contain_text("no price", timeout=SLOW)
    await check(page, "empty")
    await ask(page, "NOPE")
    await expect(page.locator("#history-error")).to_be_visible(timeout=SLOW)
    await check(page, "error")


async def test_a_screen_reader_is_told_of_states_and_not_of_prices(page: Page) -> None:
    """Whatever is announced by itself has no number in it that changes with every tick."""
    told = page.locator("#announce")
    await expect(told).to_have_attribute("role", "status")
    await expect(told).to_have_text("Prices are live.")
    shown = await page.locator(price_of("TSLA")).inner_text()
    await expect(page.locator(price_of("TSLA"))).not_to_have_text(shown, timeout=SLOW)
    await expect(told).to_have_text("Prices are live.")
    await expect(page.locator("#live-table [aria-live], #live-table [role=status]")).to_have_count(
        0
    )


async def test_a_price_is_read_aloud_as_one_number(page: Page) -> None:
    """Also a change; what is only drawn, an arrow or a trend, isn't read at all."""
    row = page.locator("#live-table tr[data-stock=TSLA]")
    await expect(row.locator("td").nth(0)).to_have_accessible_name(re.compile(r"^\d+(\.\d+)?$"))
    change = re.compile(r"^(up|down|unchanged) \W?\d+(\.\d+)? \W?\d+\.\d\d%$")
    await expect(row.locator("td").nth(1)).to_have_accessible_name(change)


async def stop_at(page: Page, selector: str) -> None:
    """By the Tab key, from wherever we are."""
    for _ in range(MOST_STOPS):
        await page.keyboard.press("Tab")
        if await page.evaluate("(one) => document.activeElement?.matches(one)", selector):
            return
    pytest.fail(f"the Tab key doesn't lead to {selector}")


async def a_few(route: Route) -> None:
    await route.continue_(url=route.request.url.replace("limit=1000", "limit=20"))
