"""Viewer: what tests do with the page and look at, as somebody in Kolkata would."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

from playwright.async_api import Browser, Page, expect

ZONE, OFFSET = "Asia/Kolkata", timezone(timedelta(hours=5, minutes=30))
SLOW = 30_000  # ms: first prices, restarts
RECORD_STATES = """() => {
  const state = document.getElementById("state");
  window.states = [];
  const record = () => window.states.push(state.dataset.state);
  new MutationObserver(record).observe(state, {attributes: true});
}"""


# Path, bytes as they came compressed, the same with the answer's head. Not the api's answers.
OWN_FILES = """() => ["navigation", "resource"]
  .flatMap((type) => performance.getEntriesByType(type))
  .map((it) => [new URL(it.name).pathname, it.encodedBodySize, it.transferSize])
  .filter(([path]) => !path.startsWith("/api/"))"""


@asynccontextmanager
async def opened(browser: Browser, url: str, **options: Any) -> AsyncIterator[Page]:
    """A page that is live and has shown a price; options are those of a browser's context."""
    asked = {"locale": "en-US", "timezone_id": ZONE} | options
    async with await browser.new_context(base_url=url, **asked) as context:
        page = await context.new_page()
        troubles = record_troubles(page)
        await page.goto("/")
        try:
            await expect(page.locator("#state")).to_have_text("Live", timeout=SLOW)
            price = page.locator(price_of("TSLA"))
            await expect(price).to_have_text(re.compile(r"\d"), timeout=SLOW)
        except AssertionError as error:
            error.add_note("\n".join(troubles))
            raise
        yield page


def price_of(stock: str) -> str:
    return f"#live-table tr[data-stock={stock}] td:nth-child(2)"


def record_troubles(page: Page) -> list[str]:
    """Console errors, which refused resources are too, and exceptions."""
    troubles: list[str] = []
    page.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    return troubles


async def ask(
    page: Page, stock: str, start: datetime | None = None, end: datetime | None = None
) -> None:
    await page.get_by_label("Stock", exact=True).fill(stock)
    await page.get_by_label("Start").fill(as_input(start))
    await page.get_by_label("End").fill(as_input(end))
    await page.get_by_role("button", name="Show history").click()


def as_input(time: datetime | None) -> str:
    """As a browser writes it: no seconds where they are zero."""
    if time is None:
        return ""
    return f"{time.astimezone(OFFSET):%Y-%m-%dT%H:%M:%S}".removesuffix(":00")


async def knows(page: Page, stock: str) -> bool:
    return (await page.request.get("/api/latest", params={"stock_name": stock})).ok


async def listed(page: Page) -> list[list[str]]:
    rows = await page.locator("#history-rows tr").evaluate_all(
        "rows => rows.map((row) => [row.dataset.id, ...[...row.cells].map((c) => c.textContent)])"
    )
    return [list(row) for row in rows]
