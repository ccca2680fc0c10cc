"""A forwarder that is too far behind shows the present, not a film of the past."""

import asyncio
import time
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from forwarder.backlog import Backlog
from forwarder.centrifugo import Centrifugo
from forwarder.feed import Feed
from forwarder.settings import ForwarderSettings
from tests.consumers import StartForwarder, start_forwarder
from tests.feed_client import FeedClient
from tests.servers import CentrifugoServer, RedisServer
from tests.services import StartService
from tests.ticks import all_settled, append, dead_letters, entries, ids, numbered

HOUR_US = 3600 * 1_000_000


def an_hour_ago() -> int:
    """Never the same twice: Centrifugo keeps the keys of what it has for five minutes."""
    return time.time_ns() // 1000 - HOUR_US


async def none_follow(_: bytes, __: int) -> bool:
    return False


async def all_follow(_: bytes, __: int) -> bool:
    return True


async def test_too_far_behind_only_the_newest_tick_of_each_stock_is_sent(
    redis: Redis, stream: str, feed: FeedClient, forwarder: StartForwarder
) -> None:
    market = ["TSLA:1", "DIS:1", "NFLX:1", "bad", "DIS:2", "TSLA:2"]
    old = entries(market * 100, first_us=an_hour_ago())
    fresh = entries(["TSLA:4"])
    await append(redis, stream, old)
    behind = forwarder(FORWARDER_MAX_LAG=2)
    await feed.has(old[-1][0])
    await append(redis, stream, fresh)
    await feed.has(*ids(fresh))

    newest = [old[-4], old[-2], old[-1]]  # in the order of the stream
    assert [p["ticks"][0][1:3] for p in feed.publications] == [["NFLX", 1], ["TSLA", 4]]
    assert feed.ids == ids(newest + fresh)
    assert [publication["skipped"] for publication in feed.publications] == [497, 0]
    assert await behind.wait_for("forwarder.conflated", skipped=497, sent=3)
    assert len(await dead_letters(redis, stream, "forwarder")) == 100


async def test_a_backlog_of_a_full_batch_and_one_read_ahead_is_one_backlog(
    redis: Redis, stream: str, feed: FeedClient, forwarder: StartForwarder
) -> None:
    old = entries(numbered(150), first_us=an_hour_ago())
    await append(redis, stream, old)
    behind = forwarder(FORWARDER_MAX_LAG=2, BATCH=100)
    await feed.has(old[-1][0])

    assert feed.ids == ids(old[-1:])
    assert await behind.wait_for("forwarder.conflated", skipped=149, sent=1)


@pytest.mark.parametrize("pending", [100, 37])  # from before: they don't make the rest young
async def test_a_long_backlog_is_passed_over_until_its_end_and_no_stock_is_forgotten(
    redis: Redis, stream: str, feed: FeedClient, forwarder: StartForwarder, pending: int
) -> None:
    old = entries(["DIS:1", "bad", *numbered(998)], first_us=an_hour_ago())
    await append(redis, stream, old)
    await redis.xgroup_create(stream, "forwarder", id="0")
    await redis.xreadgroup("forwarder", "me", {stream: ">"}, count=pending)
    behind = forwarder(FORWARDER_MAX_LAG=2, BATCH=100, CONSUMER="me")
    await feed.has(old[-1][0])
    await all_settled(redis, stream, "forwarder")

    [publication] = feed.publications  # none for any of the ten batches but the last
    assert feed.ids == ids([old[0], old[-1]])
    assert publication["skipped"] == 997
    assert await behind.wait_for("forwarder.conflated", skipped=997, sent=2)
    assert len(await dead_letters(redis, stream, "forwarder")) == 1


async def test_a_backlog_is_passed_over_with_no_more_rights_than_a_forwarder_has(
    own_redis: RedisServer, centrifugo: CentrifugoServer, feed: FeedClient, service: StartService
) -> None:
    old = entries(numbered(1000), first_us=an_hour_ago())
    async with Redis.from_url(own_redis.url) as redis:
        await append(redis, "ticks", old)
        url = own_redis.url_of("forwarder")
        behind = start_forwarder(service, url, centrifugo, "ticks", FORWARDER_MAX_LAG=2, BATCH=100)
        await feed.has(old[-1][0])
        await all_settled(redis, "ticks", "forwarder")

    assert not behind.find("outage")


async def test_a_clock_that_differs_from_the_bridges_makes_no_tick_late(
    centrifugo_api: Centrifugo, feed: FeedClient
) -> None:
    """Only what was there when it began can be as old as the clocks say."""
    publisher = Feed(centrifugo_api, timedelta(seconds=30), none_follow)
    for first in (1, 4, 7):
        batch = entries(
            [f"TSLA:{number}" for number in range(first, first + 3)], first_us=an_hour_ago()
        )
        await publisher.publish(batch)
        await publisher.publish(batch)  # as after a lost answer: no older by that
    await feed.has(*ids(batch))

    assert [price for _, _, price, *_ in feed.ticks] == [3, 4, 5, 6, 7, 8, 9]
    assert publisher.metrics()["skipped"] == 4


async def test_what_was_passed_over_comes_with_the_first_news(
    centrifugo_api: Centrifugo, feed: FeedClient
) -> None:
    publisher = Feed(centrifugo_api, timedelta(seconds=30), all_follow)
    old = entries(["DIS:1", "TSLA:1", "DIS:2"], first_us=an_hour_ago())
    assert await publisher.publish(old) == []
    fresh = entries(["TSLA:2", "TSLA:3"])
    assert await publisher.publish(fresh) == []
    await feed.has(*ids(fresh))

    assert feed.ids == ids(old[1:] + fresh)
    assert [publication["skipped"] for publication in feed.publications] == [1]
    assert publisher.metrics()["skipped"] == 1


async def test_what_is_passed_over_is_news_soon_though_the_backlog_has_no_end_for_us(
    centrifugo_api: Centrifugo, feed: FeedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on for minutes, or another forwarder has what is left of it."""
    monkeypatch.setattr("forwarder.feed.NEWS_EVERY", 0.2)
    publisher = Feed(centrifugo_api, timedelta(seconds=30), all_follow)
    old = entries(["DIS:1", "TSLA:1", "DIS:2", "TSLA:2", "TSLA:3"], first_us=an_hour_ago())
    stop = asyncio.Event()
    telling = asyncio.create_task(publisher.publish_long_held(stop))
    for batch in (old[:2], old[2:3]):
        assert await publisher.publish(batch) == []
    await feed.has(old[2][0])
    assert await publisher.publish(old[3:]) == []
    await feed.has(old[-1][0])
    stop.set()
    await telling

    assert feed.ids == ids([old[1], old[2], old[4]])
    assert [publication["skipped"] for publication in feed.publications] == [1, 1]
    assert publisher.metrics()["skipped"] == 2


async def test_a_forwarder_shows_what_it_passed_over_though_another_has_the_rest(
    redis: Redis, stream: str, feed: FeedClient, forwarder: StartForwarder
) -> None:
    old = entries(numbered(150), first_us=an_hour_ago())
    await append(redis, stream, old)
    await redis.xgroup_create(stream, "forwarder", id="0")
    await redis.xreadgroup("forwarder", "other", {stream: ">"})
    await redis.xclaim(stream, "forwarder", "me", 0, [*ids(old[:100])])
    behind = forwarder(FORWARDER_MAX_LAG=2, BATCH=100, CONSUMER="me")
    await feed.has(old[99][0])

    assert feed.ids == [old[99][0]]
    assert await behind.wait_for("forwarder.conflated", skipped=99, sent=1)


async def test_whether_more_follow_is_asked_once_for_a_whole_backlog(
    redis: Redis, redis_url: str, centrifugo: CentrifugoServer, stream: str
) -> None:
    waiting = entries(numbered(30))
    await append(redis, stream, waiting)
    await redis.xgroup_create(stream, "forwarder", id="0")
    await redis.xreadgroup("forwarder", "me", {stream: ">"}, count=10)
    values = {"redis_url": redis_url, "stream": stream, "batch": 10}
    values |= {"centrifugo_api_url": centrifugo.api_url, "centrifugo_api_key": centrifugo.api_key}
    backlog = Backlog(redis, ForwarderSettings.model_validate(values))
    assert await backlog.goes_on(waiting[9][0], 10)
    await redis.delete(stream)  # who asks now is told that nothing follows

    assert await backlog.goes_on(waiting[28][0], 10)
    assert not await backlog.goes_on(waiting[29][0], 10)


async def test_a_stop_far_behind_publishes_what_was_passed_over(
    centrifugo_api: Centrifugo, feed: FeedClient
) -> None:
    publisher = Feed(centrifugo_api, timedelta(seconds=30), all_follow)
    old = entries(["DIS:1", "TSLA:1", "DIS:2"], first_us=an_hour_ago())
    await publisher.publish(old)
    for _ in range(2):  # the second time there is nothing left
        await publisher.publish_held()
    await feed.has(*ids(old[1:]))

    assert feed.ids == ids(old[1:])


async def test_a_maximal_lag_of_zero_never_leaves_a_tick_out(
    redis: Redis, stream: str, feed: FeedClient, forwarder: StartForwarder
) -> None:
    old = entries(["TSLA:1", "TSLA:2"] * 100, first_us=an_hour_ago())
    await append(redis, stream, old)
    forwarder(FORWARDER_MAX_LAG=0)
    await feed.has(old[-1][0])

    assert feed.ids == ids(old)
    assert sum(publication["skipped"] for publication in feed.publications) == 0
