"""What the page says of its connection while things die, sleep and lag; each state as a picture."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta

import pytest
from playwright.async_api import Page, expect

from tests.centrifugo_api import CHANNELS, call, publish
from tests.looking import look
from tests.looks import check
from tests.system import System
from tests.viewer import OFFSET, SLOW, ask, price_of

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

PRICE = price_of("TSLA")
LATEST, SECOND = timedelta(seconds=5), timedelta(seconds=1)  # of a tick; of what is shown
OVERRUN = "{ticks}:overrun"
TIME = r"(\d\d:\d\d:\d\d)"
NOTHING = {"columns": ["id", "stock_name", "price", "received_us"], "ticks": [], "skipped": 0}


async def test_nothing_is_missed_while_nginx_starts_again(page: Page, local: System) -> None:
    gaps = await page.locator("#gaps").inner_text()
    with without(local, "nginx"):
        await expect(page.locator("#state")).to_have_text("Reconnecting…", timeout=SLOW)
        await expect(page.locator("#state-detail")).to_contain_text("since")
        await check(page, "reconnecting")
    await expect(page.locator("#state")).to_have_text("Live", timeout=SLOW)
    await expect(page.locator("#live-notice")).to_contain_text("nothing was missed")
    await check(page, "recovered")
    await expect(page.locator("#gaps")).to_have_text(gaps)
    await moves(page)


async def test_without_the_api_prices_go_on_and_the_page_says_that_it_is_away(
    page: Page, local: System
) -> None:
    notice = page.locator("#live-notice")
    with without(local, "api"):
        await expect(notice).to_contain_text("The backend is away since", timeout=SLOW)
        await moves(page)
        await expect(page.locator("#state")).to_have_text("Live")
        said = await (await page.request.get("/api/stocks")).json()
        await ask(page, "TSLA")
        await expect(page.locator("#history-error")).to_have_text(said["detail"])
        await check(page, "backend-away")
    await expect(notice).not_to_contain_text("away", timeout=SLOW)
    await ask(page, "TSLA")
    await expect(page.locator("#history-error")).to_be_hidden(timeout=SLOW)


async def test_what_a_laptop_missed_in_its_sleep_is_said_from_when_to_when(
    page: Page, local: System
) -> None:
    """Longer than Centrifugo's history reaches: that is emptied, as nobody waits ten minutes."""
    await moves(page)
    gaps = int(await page.locator("#gaps").inner_text())
    began = datetime.now(OFFSET)
    await page.context.set_offline(True)
    await expect(page.locator("#state")).to_have_text("Reconnecting…", timeout=SLOW)
    for channel in CHANNELS:
        await publish(local, channel, NOTHING)  # so that something is missed
        await call(local, "history_remove", channel=channel)
    await page.context.set_offline(False)
    notice = page.locator("#live-notice")
    said = (
        f"^Updates on NASDAQ and NYSE were missed, {TIME} to {TIME}; the prices were loaded again"
    )
    await expect(notice).to_have_text(re.compile(said), timeout=SLOW)
    first, last = [at(each) for each in re.findall(TIME, await notice.inner_text())]
    assert began - LATEST <= first <= began
    assert began - SECOND <= last <= datetime.now(OFFSET)
    await expect(page.locator("#gaps")).to_have_text(str(gaps + 1))
    await check(page, "gap")
    await moves(page)
    await page.locator("#gap-log summary").click()
    await page.locator("#gap-list button").first.click()
    assert await page.get_by_label("Start").input_value() == f"{first:%Y-%m-%dT%H:%M:%S}"


async def test_ticks_that_the_feed_left_out_are_counted_and_said(page: Page, local: System) -> None:
    before = int((await page.locator("#conflated").inner_text()).replace(",", ""))
    await publish(local, "prices:NYSE", NOTHING | {"skipped": 1234})
    await expect(page.locator("#conflated")).to_have_text(f"{before + 1234:,}")
    await expect(page.locator("#live-notice")).to_contain_text("1,234 older ticks were left out")
    await check(page, "conflated")


async def test_prices_that_stopped_are_stale_after_ten_seconds(page: Page, local: System) -> None:
    with without(local, "generator"):
        await expect(page.locator("#state")).to_have_text("Stale", timeout=SLOW)
        await expect(page.locator("#state-detail")).to_contain_text("no tick for")
        await expect(page.locator("#live-table tr[data-stock=TSLA]")).to_contain_text("stale")
        assert (await page.title()).startswith("Stale")
        await check(page, "stale")
    await expect(page.locator("#state")).to_have_text("Live", timeout=SLOW)


async def test_who_is_sent_away_for_good_comes_back_by_a_button(page: Page, local: System) -> None:
    """As Centrifugo sends away whoever is not to come again by himself."""
    button = page.get_by_role("button", name="Connect again")
    await expect(button).to_be_hidden()
    await call(local, "disconnect", user="")  # all that have no name
    await expect(page.locator("#state")).to_have_text("Disconnected", timeout=SLOW)
    await check(page, "disconnected")
    await button.press("Enter")
    await expect(page.locator("#state")).to_have_text("Live", timeout=SLOW)
    await expect(button).to_be_hidden()
    await moves(page)


async def test_what_the_streams_cap_removed_is_on_the_strip(page: Page, local: System) -> None:
    place = page.locator("[data-status=overrun]")
    await expect(place).to_have_text("0")
    async with look(local.redis_url) as redis:
        await redis.hset(OVERRUN, "writer", "1234")
        try:
            await page.reload()
            await expect(place).to_have_text("1,234", timeout=SLOW)
            await expect(place).to_have_class("warn")
        finally:
            await redis.hdel(OVERRUN, "writer")


@pytest.mark.usefixtures("local")
async def test_the_way_to_grafana_is_shown_where_there_is_one(page: Page) -> None:
    """Which nginx knows: tests/integration/test_grafana_proxy.py."""
    link = page.get_by_role("link", name="Grafana", include_hidden=True)
    async with page.expect_response("**/grafana-there") as asked:
        await page.reload()
    assert (await asked.value).status == 204
    await expect(page.locator("#state")).to_have_text("Live", timeout=SLOW)
    await expect(link).to_be_hidden()
    await page.route("**/grafana-there", lambda route: route.fulfill(status=200))
    await page.reload()
    await expect(link).to_be_visible(timeout=SLOW)
    await expect(link).to_have_attribute("href", "/grafana/")


@contextmanager
def without(system: System, name: str) -> Iterator[None]:
    system.take_away(name)
    try:
        yield
    finally:
        system.bring_back(name)


async def moves(page: Page) -> None:
    """A live price comes."""
    before = await page.locator(PRICE).inner_text()
    await expect(page.locator(PRICE)).not_to_have_text(before, timeout=SLOW)


def at(clock: str) -> datetime:
    """The last time that a clock on the viewer's wall showed that."""
    now = datetime.now(OFFSET)
    today = datetime.combine(now, time.fromisoformat(clock), OFFSET)
    return today if today <= now else today - timedelta(days=1)
