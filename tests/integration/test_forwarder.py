"""The forwarder between a real stream and a real Centrifugo, seen by a WebSocket client."""

import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from redis.asyncio import Redis

from forwarder.centrifugo import Centrifugo, Publication
from forwarder.feed import Feed
from forwarder.settings import ForwarderSettings
from pipeline.outage import Outage
from tests.consumers import start_forwarder
from tests.feed_client import FeedClient, following
from tests.servers import CentrifugoServer
from tests.services import Service, StartService
from tests.ticks import all_settled, append, dead_letters, entries, ids, numbered, row

NYSE, NASDAQ = "prices:NYSE", "prices:NASDAQ"
HOUR_US = 3600 * 1_000_000

StartForwarder = Callable[..., Service]


@pytest.fixture
async def feed(centrifugo: CentrifugoServer) -> AsyncIterator[FeedClient]:
    async with following(centrifugo.ws_url, NYSE) as client:
        yield client


@pytest.fixture
def forwarder(
    service: StartService, redis_url: str, centrifugo: CentrifugoServer, stream: str
) -> StartForwarder:
    """forwarder(NAME=value) starts one on the shared servers."""
    return partial(start_forwarder, service, redis_url, centrifugo, stream)


@pytest.fixture
async def api(redis_url: str, centrifugo: CentrifugoServer) -> AsyncIterator[Centrifugo]:
    settings = {"centrifugo_api_url": centrifugo.api_url, "centrifugo_api_key": centrifugo.api_key}
    whole = ForwarderSettings.model_validate({"redis_url": redis_url, **settings})
    async with Centrifugo(whole) as api:
        yield api


def an_hour_ago() -> int:
    """Never the same twice: Centrifugo keeps the keys of what it has for five minutes."""
    return time.time_ns() // 1000 - HOUR_US


async def none_follow(_: int) -> bool:
    return False


async def all_follow(_: int) -> bool:
    return True


async def test_a_publication_has_each_tick_as_a_row_with_every_digit(
    redis: Redis, stream: str, feed: FeedClient, forwarder: StartForwarder
) -> None:
    sent = entries(['TS"LA:723.020', "Société:0.000000000000000001"])
    await append(redis, stream, sent)
    forwarder()
    await feed.has(*ids(sent))

    first_us, second_us = (row(entry).received_us for entry in sent)
    assert feed.publications == [
        {
            "columns": ["id", "stock_name", "price", "received_us"],
            "ticks": [
                [sent[0][0].decode(), 'TS"LA', Decimal("723.02"), first_us],
                [sent[1][0].decode(), "Société", Decimal("0.000000000000000001"), second_us],
            ],
            "skipped": 0,
        }
    ]
    assert str(feed.ticks[0][2]) == "723.020"
    await all_settled(redis, stream, "forwarder")


async def test_each_exchange_has_its_channel_and_its_ticks_in_the_order_of_the_stream(
    redis: Redis, stream: str, centrifugo: CentrifugoServer, forwarder: StartForwarder
) -> None:
    async with (
        following(centrifugo.ws_url, NYSE) as nyse,
        following(centrifugo.ws_url, NASDAQ) as nasdaq,
    ):
        forwarder()
        sent = {exchange: entries([]) for exchange in ("NYSE", "NASDAQ")}
        for _ in range(20):
            for exchange in sent:
                new = entries(numbered(50), channel=exchange)
                await append(redis, stream, new)
                sent[exchange] += new
        await nyse.has(sent["NYSE"][-1][0])
        await nasdaq.has(sent["NASDAQ"][-1][0])

        assert nyse.ids == ids(sent["NYSE"])
        assert nasdaq.ids == ids(sent["NASDAQ"])
    await all_settled(redis, stream, "forwarder")


async def test_a_tick_after_quiet_goes_at_once(
    redis: Redis, stream: str, feed: FeedClient, forwarder: StartForwarder
) -> None:
    first = entries(["TSLA:1"])
    await append(redis, stream, first)
    forwarder(BLOCK=5)
    await feed.has(*ids(first))
    await all_settled(redis, stream, "forwarder")

    second = entries(["TSLA:2"])
    await append(redis, stream, second)
    await feed.has(*ids(second), limit=4)  # less than a whole read of nothing


async def test_a_bad_message_is_a_dead_letter_and_its_neighbours_arrive(
    redis: Redis, stream: str, feed: FeedClient, forwarder: StartForwarder
) -> None:
    sent = entries([b"TSLA:1", b"TSLA:1e400", b"TSLA:2", b"\xff:1", b"TSLA:3"])
    await append(redis, stream, sent)
    forwarder()
    await feed.has(sent[-1][0])
    await all_settled(redis, stream, "forwarder")

    assert feed.ids == ids(sent[::2])
    assert await dead_letters(redis, stream, "forwarder") == [
        {b"entry": entry_id, b"channel": b"NYSE", b"message": message, b"reason": reason}
        for (entry_id, _, message), reason in zip(
            sent[1::2],
            [b"price is not a plain decimal number", b"name is not UTF-8"],
            strict=True,
        )
    ]


async def test_a_batch_of_nothing_but_bad_messages_is_buried_and_publishes_nothing(
    redis: Redis, stream: str, feed: FeedClient, forwarder: StartForwarder
) -> None:
    await append(redis, stream, entries(["no price", "TSLA:"]))
    forwarder()
    await all_settled(redis, stream, "forwarder")
    last = entries(["TSLA:1"])
    await append(redis, stream, last)
    await feed.has(*ids(last))

    assert feed.ids == ids(last)
    assert len(await dead_letters(redis, stream, "forwarder")) == 2


async def test_more_than_five_hundred_ticks_are_cut_into_publications_in_order(
    redis: Redis, stream: str, feed: FeedClient, forwarder: StartForwarder
) -> None:
    sent = entries(numbered(1201))
    await append(redis, stream, sent)
    forwarder()
    await feed.has(sent[-1][0])

    assert [len(publication["ticks"]) for publication in feed.publications] == [500, 500, 201]
    assert feed.ids == ids(sent)


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


async def test_a_clock_that_differs_from_the_bridges_makes_no_tick_late(
    api: Centrifugo, feed: FeedClient
) -> None:
    """Only what was there when it began can be as old as the clocks say."""
    publisher = Feed(api, timedelta(seconds=30), none_follow)
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
    api: Centrifugo, feed: FeedClient
) -> None:
    publisher = Feed(api, timedelta(seconds=30), all_follow)
    old = entries(["DIS:1", "TSLA:1", "DIS:2"], first_us=an_hour_ago())
    assert await publisher.publish(old) == []
    fresh = entries(["TSLA:2", "TSLA:3"])
    assert await publisher.publish(fresh) == []
    await feed.has(*ids(fresh))

    assert feed.ids == ids(old[1:] + fresh)
    assert [publication["skipped"] for publication in feed.publications] == [1]
    assert publisher.metrics()["skipped"] == 1


async def test_a_stop_far_behind_publishes_what_was_passed_over(
    api: Centrifugo, feed: FeedClient
) -> None:
    publisher = Feed(api, timedelta(seconds=30), all_follow)
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


async def test_an_error_inside_a_200_is_an_outage_and_the_rest_of_the_batch_was_published(
    api: Centrifugo, feed: FeedClient
) -> None:
    [tick] = entries(["TSLA:1"])
    good = Publication(NYSE, tick[0].decode(), b'{"ticks":[["%b"]]}' % tick[0])
    with pytest.raises(Outage, match=r"1 of 2 refused.*unknown channel"):
        await api.publish([good, Publication("nope:x", "key", b"{}")])
    await feed.has(tick[0])


async def test_a_batch_sent_again_in_place_reaches_a_client_once(
    api: Centrifugo, feed: FeedClient
) -> None:
    publisher = Feed(api, timedelta(0), none_follow)
    batch = entries(numbered(700))
    assert await publisher.publish(batch) == []
    assert await publisher.publish(batch) == []
    marker = entries(["TSLA:1"])
    assert await publisher.publish(marker) == []
    await feed.has(*ids(marker))

    assert feed.ids == ids(batch + marker)


async def test_batches_that_begin_and_end_alike_are_not_taken_for_repeats(
    api: Centrifugo, feed: FeedClient
) -> None:
    """As when two dead readers left the first and the last, and a third one everything."""
    publisher = Feed(api, timedelta(0), none_follow)
    batch = entries(numbered(5))
    await publisher.publish([batch[0], batch[-1]])
    await publisher.publish(batch)
    await feed.has(*ids(batch))

    assert feed.ids == ids([batch[0], batch[-1], *batch])
