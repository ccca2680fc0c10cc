"""The forwarder between a real stream and a real Centrifugo, seen by a WebSocket client."""

from datetime import timedelta
from decimal import Decimal

import pytest
from redis.asyncio import Redis

from forwarder.centrifugo import Centrifugo, Publication
from forwarder.feed import Feed
from pipeline.outage import Outage
from tests.consumers import StartForwarder
from tests.feed_client import FeedClient, following
from tests.servers import CentrifugoServer
from tests.ticks import all_settled, append, dead_letters, entries, ids, numbered, row

NYSE, NASDAQ = "prices:NYSE", "prices:NASDAQ"
HOUR_US = 3600 * 1_000_000


async def none_follow(_: bytes, __: int) -> bool:
    return False


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


async def test_an_error_inside_a_200_is_an_outage_and_the_rest_of_the_batch_was_published(
    centrifugo_api: Centrifugo, feed: FeedClient
) -> None:
    [tick] = entries(["TSLA:1"])
    good = Publication(NYSE, tick[0].decode(), b'{"ticks":[["%b"]]}' % tick[0])
    with pytest.raises(Outage, match=r"1 of 2 refused.*unknown channel"):
        await centrifugo_api.publish([good, Publication("nope:x", "key", b"{}")])
    await feed.has(tick[0])


async def test_a_batch_sent_again_in_place_reaches_a_client_once(
    centrifugo_api: Centrifugo, feed: FeedClient
) -> None:
    publisher = Feed(centrifugo_api, timedelta(0), none_follow)
    batch = entries(numbered(700))
    assert await publisher.publish(batch) == []
    assert await publisher.publish(batch) == []
    marker = entries(["TSLA:1"])
    assert await publisher.publish(marker) == []
    await feed.has(*ids(marker))

    assert feed.ids == ids(batch + marker)


async def test_batches_that_begin_and_end_alike_are_not_taken_for_repeats(
    centrifugo_api: Centrifugo, feed: FeedClient
) -> None:
    """As when two dead readers left the first and the last, and a third one everything."""
    publisher = Feed(centrifugo_api, timedelta(0), none_follow)
    batch = entries(numbered(5))
    await publisher.publish([batch[0], batch[-1]])
    await publisher.publish(batch)
    await feed.has(*ids(batch))

    assert feed.ids == ids([batch[0], batch[-1], *batch])
