"""Looks: a state of the page, light and dark, at a desk and on a phone: a picture, and axe-core."""

from functools import cache
from typing import Literal, NamedTuple

import pytest
from playwright.async_api import Page, ViewportSize

from tests.node import npm_ci
from tests.services import ROOT

PICTURES = ROOT / ".run" / "screenshots"
TOOLS = ROOT / "tests" / "web"
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """async (levels) => {
  const { violations } = await axe.run(document, { runOnly: levels, resultTypes: ["violations"] });
  const said = ({ id, nodes }) => nodes.map((it) => `${id}: ${it.target}: ${it.failureSummary}`);
  return violations.flatMap(said);
}"""
# Wider than the window: somebody has to scroll sideways.
TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


class Look(NamedTuple):
    scheme: Literal["light", "dark"]
    window: ViewportSize


DESK, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=360, height=740)
LOOKS = {
    "dark-phone": Look("dark", PHONE),
    "light-phone": Look("light", PHONE),
    "dark": Look("dark", DESK),
    "light": Look("light", DESK),
}


async def check(page: Page, state: str, *looks: str) -> None:
    """Nothing that axe-core knows is wrong with it; two looks have both colours and both widths."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_axe())  # a script tag would be against the page's own policy
    wrong = []
    for name in looks or ("dark-phone", "light"):
        scheme, window = LOOKS[name]
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.set_viewport_size(window)
        await page.screenshot(path=PICTURES / f"{state}-{name}.png", full_page=True)
        found = await page.evaluate(RUN, LEVELS)
        found += ["wider than the window"] if await page.evaluate(TOO_WIDE) else []
        wrong += [f"{state}, {name}: {each}" for each in found]
    if wrong:
        pytest.fail("\n".join(wrong))


@cache
def _axe() -> str:
    npm_ci(TOOLS)
    return (TOOLS / "node_modules" / "axe-core" / "axe.min.js").read_text()
