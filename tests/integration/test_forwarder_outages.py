"""The forwarder when something dies, stops answering or says no: every tick arrives in the end."""

from redis.asyncio import Redis

from tests.consumers import start_forwarder
from tests.feed_client import following
from tests.servers import CentrifugoServer
from tests.services import StartService
from tests.ticks import all_settled, append, dead_letters, entries, ids, in_hand, numbered

NYSE = "prices:NYSE"
REQUEST_LIMIT = 8.0  # how long the forwarder waits for an answer


async def test_a_killed_centrifugo_gets_all_that_was_appended_meanwhile(
    redis: Redis,
    redis_url: str,
    stream: str,
    own_centrifugo: CentrifugoServer,
    service: StartService,
) -> None:
    async with following(own_centrifugo.ws_url, NYSE) as feed:
        away = start_forwarder(service, redis_url, own_centrifugo, stream, FORWARDER_MAX_LAG=0)
        before = entries(numbered(100))
        await append(redis, stream, before)
        await feed.has(*ids(before))
        own_centrifugo.kill()
        meanwhile = entries(numbered(1000))
        await append(redis, stream, meanwhile)
        await away.wait_for("outage", neighbour="centrifugo")
        own_centrifugo.start()
        await away.wait_for("outage.over")
        await feed.has(*ids(meanwhile))
        await all_settled(redis, stream, "forwarder")

        assert feed.ids == ids(before + meanwhile)
        assert feed.gaps == 1  # its history was in memory: it says that it can't know


async def test_a_paused_centrifugo_gets_its_request_again_and_publishes_it_once(
    redis: Redis,
    redis_url: str,
    stream: str,
    own_centrifugo: CentrifugoServer,
    service: StartService,
) -> None:
    async with following(own_centrifugo.ws_url, NYSE) as feed:
        waiting = start_forwarder(service, redis_url, own_centrifugo, stream, FORWARDER_MAX_LAG=0)
        sent = entries(numbered(1000))
        await append(redis, stream, sent[:1])
        await feed.has(sent[0][0])
        own_centrifugo.pause()
        await append(redis, stream, sent[1:])
        await waiting.wait_for("outage", REQUEST_LIMIT + 4, neighbour="centrifugo")
        own_centrifugo.resume()
        await feed.has(*ids(sent))
        await all_settled(redis, stream, "forwarder")

        assert feed.ids == ids(sent)


async def test_a_killed_forwarder_leaves_no_tick_out(
    redis: Redis,
    redis_url: str,
    stream: str,
    centrifugo: CentrifugoServer,
    service: StartService,
) -> None:
    settings = {"BATCH": 20, "FORWARDER_MAX_LAG": 0}
    sent = entries(numbered(5000))
    await append(redis, stream, sent)
    async with following(centrifugo.ws_url, NYSE) as feed:
        for life in range(1, 5):
            dying = start_forwarder(service, redis_url, centrifugo, stream, **settings)
            await feed.has(sent[life * 1000][0])
            dying.kill()
        start_forwarder(service, redis_url, centrifugo, stream, **settings)
        await all_settled(redis, stream, "forwarder")
        await feed.has(*ids(sent))

        # What was sent and not acknowledged came again: a page drops an id that isn't newer.
        assert list(dict.fromkeys(feed.ids)) == ids(sent)


async def test_a_wrong_key_is_an_outage_that_acknowledges_nothing_and_never_shows_the_key(
    redis: Redis,
    redis_url: str,
    stream: str,
    centrifugo: CentrifugoServer,
    service: StartService,
) -> None:
    sent = entries(numbered(10))
    await append(redis, stream, sent)
    key = "not-the-right-key"
    refused = start_forwarder(service, redis_url, centrifugo, stream, CENTRIFUGO_API_KEY=key)
    outage = await refused.wait_for("outage", neighbour="centrifugo", again_in_s=0.1)
    assert "HTTP 401" in outage["reason"]
    await in_hand(redis, stream, "forwarder", len(sent))

    assert await refused.terminate() == 0
    await in_hand(redis, stream, "forwarder", len(sent))
    assert await dead_letters(redis, stream, "forwarder") == []
    assert refused.noise == []
    assert key not in str(refused.events)
