"""Two Centrifugo nodes and their Redis: whichever dies, no client misses a tick, or it is told."""

from collections.abc import Iterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from forwarder.centrifugo import Centrifugo, Publication
from forwarder.settings import ForwarderSettings
from pipeline.stream import Entry
from tests.consumers import start_forwarder
from tests.feed_client import FeedClient, following
from tests.looking import look
from tests.services import StartService
from tests.ticks import all_settled, ids, trading
from tests.two_feeds import PASSWORD, TwoFeeds, two_feeds
from tests.waiting import wait_until

NYSE = "prices:NYSE"


@pytest.fixture(scope="module")
def feeds() -> Iterator[TwoFeeds]:
    with two_feeds() as running:
        yield running


async def test_nodes_that_die_one_after_the_other_cost_no_client_a_tick(
    redis: Redis, redis_url: str, stream: str, feeds: TwoFeeds, service: StartService
) -> None:
    process = start_forwarder(service, redis_url, feeds.centrifugo, stream)
    async with following(feeds.ws_url, NYSE) as feed:
        async with trading(redis, stream) as sent:
            for _ in feeds.nodes:  # the second time it is the one that was spared at first
                await further(feed, sent)
                node, times = feeds.node_of_client(), feed.subscribed
                node.server.kill()
                await subscribes(feed, times)
                await further(feed, sent)
                node.server.start()
        await all_settled(redis, stream, "forwarder")
        await feed.has(*ids(sent))

        assert feed.ids == ids(sent)  # each once, in order
        assert feed.gaps == 0
    # One of the two was the node that it had asked: it said so, and asked the other.
    assert process.find("outage", neighbour="centrifugo")
    assert process.find("outage.over")


async def test_a_request_repeated_on_the_other_node_reaches_a_client_once(
    redis_url: str, feeds: TwoFeeds
) -> None:
    first, last = (
        Publication(NYSE, key, b'{"ticks":[["%b"]],"skipped":0}' % key.encode())
        for key in ("1-0_1-0_1", "2-0_2-0_1")
    )
    async with following(feeds.ws_url, NYSE) as feed:
        one, other = feeds.nodes
        for node, publication in ((one, first), (other, first), (other, last), (one, last)):
            given = {"centrifugo_api_url": node.server.api_url, "redis_url": redis_url}
            given |= {"centrifugo_api_key": node.server.api_key}
            async with Centrifugo(ForwarderSettings.model_validate(given)) as api:
                await api.publish([publication])
        await feed.has(b"2-0_2-0_1")

        assert feed.ids == [b"1-0_1-0_1", b"2-0_2-0_1"]


async def test_when_their_redis_dies_every_client_is_told_and_the_feed_goes_on(
    redis: Redis, redis_url: str, stream: str, feeds: TwoFeeds, service: StartService
) -> None:
    process = start_forwarder(service, redis_url, feeds.centrifugo, stream)
    async with following(feeds.ws_url, NYSE) as feed:
        async with trading(redis, stream) as sent:
            await further(feed, sent)
            feeds.redis.kill()
            await process.wait_for("outage", neighbour="centrifugo")
            feeds.redis.start()
            await process.wait_for("outage.over")
            await wait_until(lambda: feed.gaps == 1, what="it is told that it missed something")
            await further(feed, sent)
        await all_settled(redis, stream, "forwarder")
        await feed.has(*ids(sent))

        assert feed.gaps == 1
        # What had been published when the answer got lost came once more: pages drop it by its id.
        assert list(dict.fromkeys(feed.ids)) == ids(sent)


@pytest.mark.parametrize(
    "command", ["FLUSHALL", "CONFIG GET *", "KEYS *", "GET other", "PUBLISH NYSE x", "SUBSCRIBE x"]
)
async def test_their_redis_lets_a_node_do_its_work_and_nothing_else(
    feeds: TwoFeeds, command: str
) -> None:
    node = feeds.redis.url.replace("//", f"//centrifugo:{PASSWORD}@")
    for url in (node, feeds.redis.url):
        async with look(url) as redis:
            assert await redis.ping()
            with pytest.raises(NoPermissionError):
                await redis.execute_command(*command.split())


async def subscribes(feed: FeedClient, times: int) -> None:
    """Return when it has done so more often than that."""
    await wait_until(lambda: feed.subscribed > times, what="it follows again")


async def further(feed: FeedClient, sent: list[Entry]) -> None:
    """Return when what is sent from now on arrives."""
    newest = len(sent)
    await wait_until(lambda: len(sent) > newest)
    await feed.has(sent[newest][0])
