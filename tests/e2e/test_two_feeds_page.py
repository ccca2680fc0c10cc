"""The page on two Centrifugo nodes: it moves to the other one, or says what it missed."""

import re
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page, expect

from tests.api_process import running_api
from tests.consumers import start_forwarder
from tests.looking import look
from tests.servers import PostgresServer, RedisServer
from tests.services import StartService
from tests.ticks import trading
from tests.two_feeds import two_feeds
from tests.viewer import SLOW, opened, price_of

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

TOLD = re.compile("^Updates on .*NYSE were missed, .*; the prices were loaded again")


@pytest.fixture(autouse=True)
def _once(request: pytest.FixtureRequest) -> None:
    """Its servers are processes, whatever the others run against."""
    if request.config.getoption("--target") == "docker":
        pytest.skip("tried with local processes")


async def test_the_page_moves_to_the_other_node_and_is_told_when_their_redis_has_died(
    browser: Browser,
    shared_redis: RedisServer,
    shared_postgres: PostgresServer,
    service: StartService,
) -> None:
    redis_url, stream = shared_redis.url, f"ticks-{uuid4().hex[:12]}"
    addresses = {"REDIS_URL": redis_url, "POSTGRES_DSN": shared_postgres.dsn("api")}
    async with running_api(service, **addresses) as api:
        with two_feeds(api.url.removeprefix("http://")) as feeds:
            start_forwarder(service, redis_url, feeds.centrifugo, stream)
            async with (
                look(redis_url) as redis,
                trading(redis, stream),
                opened(browser, feeds.url) as page,
            ):
                state, notice = page.locator("#state"), page.locator("#live-notice")
                feeds.node_of_client().server.kill()
                await expect(notice).to_contain_text("nothing was missed", timeout=SLOW)
                await expect(state).to_have_text("Live", timeout=SLOW)
                await moves(page)

                feeds.redis.kill()
                feeds.redis.start()
                await expect(notice).to_have_text(TOLD, timeout=SLOW)
                await moves(page)


async def moves(page: Page) -> None:
    """A live price comes."""
    price = page.locator(price_of("TSLA"))
    before = await price.inner_text()
    await expect(price).not_to_have_text(before, timeout=SLOW)
