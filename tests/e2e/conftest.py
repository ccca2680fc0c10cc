"""The system, started once for all end-to-end tests, and a Chromium: one for all that look."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.chromium import Chromium, find_chromium
from tests.system import System
from tests.target import Target
from tests.viewer import opened


@pytest.fixture(scope="session")
def system(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """As `make local` does it, or as containers."""
    if request.config.getoption("--target") == "docker":
        yield request.getfixturevalue("stack")
        return
    running = System(tmp_path_factory.mktemp("system") / "output")
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.stop()
        running.remove()


@pytest.fixture(scope="session")
def local(system: Target) -> System:
    """The system as processes; what is costly and the same in containers is tried with it only."""
    if not isinstance(system, System):
        pytest.skip("tried with local processes")
    return system


@pytest.fixture(scope="session")
def chromium() -> Chromium:
    return find_chromium()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: Chromium) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await chromium.launch(playwright)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, system: Target) -> AsyncIterator[Page]:
    """An open page that is live and has its prices."""
    async with opened(browser, system.url) as page:
        yield page
