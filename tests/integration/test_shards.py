"""Several streams: who serves which, what each of them keeps, and what all say in sum."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from forwarder.centrifugo import Centrifugo
from forwarder.feed import Feed
from pipeline.shards import shard_of
from tests import bridging
from tests.api_process import running_api
from tests.conftest import Database
from tests.consumers import start_forwarder, start_writer
from tests.feed_client import FeedClient, following
from tests.metrics import FIELDS, last_metrics, metric, metrics_of
from tests.servers import CentrifugoServer, RedisServer
from tests.services import Service, StartService
from tests.ticks import all_settled, entries, numbered, settled, stored
from tests.waiting import wait_until

STOCKS, TICKS = 40, 2000
WORSE = b"no price"
GROUPS = "forwarder,writer"


class Place(NamedTuple):
    """Where a test's streams are."""

    redis: Redis
    redis_url: str
    stream: str


@pytest.fixture
def place(redis: Redis, redis_url: str, stream: str) -> Place:
    return Place(redis, redis_url, stream)


def market(first: int = 1) -> list[bytes]:
    """Each stock's prices are running numbers."""
    return [b"S%d:%d" % (number % STOCKS, first + number) for number in range(TICKS)]


def streams(stream: str, shards: int = 3) -> list[str]:
    return [f"{stream}:{{{number}}}" for number in range(shards)]


async def all_have(redis: Redis, stream: str, *groups: str) -> None:
    """Return once each shard's groups are done with what is in it."""
    for each in streams(stream):
        for group in groups:
            await wait_until(partial(settled, redis, each, group), 20.0, f"{group} of {each}")


async def bridges(
    service: StartService, url: str, stream: str, *served: str, groups: str = GROUPS
) -> list[Service]:
    """One for each of these lists of shards, each a leader of all that it serves."""
    own = {"SHARDS": 3, "STREAM_GROUPS": groups}
    found = [bridging.another(service, url, stream, SHARD=shards, **own) for shards in served]
    for bridge, shards in zip(found, served, strict=True):
        for shard in shards.split(","):
            await bridge.wait_for("lease.taken", shard=int(shard))
    return found


def numbers_by_stock(pairs: Sequence[Sequence[Any]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for stock, price in pairs:
        found.setdefault(stock, []).append(int(price))
    return found


async def test_each_tick_is_stored_and_shown_once_and_in_order_whoever_serves_which_shard(
    place: Place, postgres: Database, centrifugo: CentrifugoServer, service: StartService
) -> None:
    redis, redis_url, stream = place
    sent = market()
    channel = bridging.channel_of(stream)
    async with following(centrifugo.ws_url, f"prices:{channel}") as feed:
        # The last never comes, or what both have had would be trimmed before it is looked at.
        groups = f"{GROUPS},never"
        await bridges(service, redis_url, stream, "0,2", "1", groups=groups)
        start_writer(service, redis_url, postgres.server, stream, SHARDS=3, SHARD=0, CONSUMER="a")
        start_writer(
            service, redis_url, postgres.server, stream, SHARDS=3, SHARD="1,2", CONSUMER="b"
        )
        start_forwarder(service, redis_url, centrifugo, stream, SHARDS=3)
        await bridging.publish(redis, stream, *sent, WORSE)
        await wait_until(lambda: len(feed.ticks) >= TICKS, what="all ticks in the feed")
        await all_have(redis, stream, "writer", "forwarder")

    expected = numbers_by_stock([each.decode().rsplit(":", 1) for each in sent])
    assert numbers_by_stock([(tick[1], tick[2]) for tick in feed.ticks]) == expected
    rows = await stored(postgres.connection)
    assert numbers_by_stock([(each.stock_name, each.price) for each in rows]) == expected
    for shard, each in enumerate(streams(stream)):
        of_it = await bridging.messages(redis, each)
        assert of_it == [each for each in [*sent, WORSE] if shard_of(each, 3) == shard]
    assert not await redis.exists(stream)


async def test_a_standby_of_some_shards_takes_over_just_those(
    redis: Redis, service: StartService, redis_url: str, stream: str
) -> None:
    sent = market()
    first, other = await bridges(service, redis_url, stream, "0,1", "2")
    standby = bridging.another(service, redis_url, stream, SHARDS=3)
    for shard in range(3):
        await standby.wait_for("bridge.lined_up", shard=shard)
    await bridging.publish(redis, stream, *sent[:1000])
    first.kill()
    await bridging.publish(redis, stream, *sent[1000:])
    for shard in (0, 1):
        await standby.wait_for("lease.taken", shard=shard)
    for shard, each in enumerate(streams(stream)):
        expected = [each for each in sent if shard_of(each, 3) == shard]
        await bridging.have_appended(redis, each, len(expected))
        assert await bridging.messages(redis, each) == expected

    assert other.running
    assert not standby.find("lease.taken", shard=2)


async def test_status_metrics_and_dead_letters_are_those_of_all_shards(
    redis: Redis, postgres: Database, service: StartService, redis_url: str, stream: str
) -> None:
    faults = [b"S%d:none" % number for number in range(STOCKS)]
    (bridge,) = await bridges(service, redis_url, stream, "0,1,2")
    writer = start_writer(service, redis_url, postgres.server, stream, SHARDS=3)
    await bridging.publish(redis, stream, *market(), *faults)
    await all_have(redis, stream, "writer")
    for each in streams(stream):
        await redis.xgroup_create(each, "forwarder", id="0")

    own = {"REDIS_URL": redis_url, "STREAM": stream, "SHARDS": 3}
    async with running_api(service, **own, POSTGRES_DSN=postgres.dsn("api")) as api:
        status = (await api.get("/api/status")).json
    forwarder, behind = sorted(status["groups"], key=lambda group: str(group["name"]))
    assert status["stream"]["appended"] == TICKS + STOCKS
    assert (forwarder["lag_entries"], behind["lag_entries"]) == (TICKS + STOCKS, 0)
    assert (forwarder["consumers"], behind["consumers"]) == (0, 1)
    assert status["dead_letters"] == {"bridge": 0, "forwarder": 0, "writer": STOCKS}

    line = await writer.wait_for("progress", 15.0, lag_entries=lambda _: True)
    assert FIELDS["writer"] <= line.keys()
    handled = [metric("handled", shard=str(shard)) for shard in range(3)]
    await writer.terminate()
    told = last_metrics(writer)
    assert sum(told[each] for each in handled) == TICKS
    assert all(told[each] > 0 for each in handled)
    counted = [(metric("copy_seconds", stat="count", shard=str(shard))) for shard in range(3)]
    assert all(told[each] > 0 for each in counted)
    since = len(bridge.events)
    line = await bridge.wait_for("progress", 15.0, since, stream_length=lambda _: True)
    seen = metrics_of(line)
    lengths = [seen[metric("stream_length", shard=str(shard))] for shard in range(3)]
    assert sum(lengths) == TICKS + STOCKS

    environment = own | {"POSTGRES_DSN": postgres.dsn("writer")}
    tool = service("writer", "--dead-letters", **environment)
    assert await tool.exit_code() == 0
    assert tool.noise[-1] == f"{STOCKS} dead letters"
    assert len(tool.noise) == STOCKS + 2  # one heading, one sum


async def test_services_need_no_more_rights_for_shards_than_they_have(
    own_redis: RedisServer, postgres: Database, centrifugo: CentrifugoServer, service: StartService
) -> None:
    users = {name: own_redis.url_of(name) for name in ("bridge", "forwarder", "writer", "api")}
    own = {"STREAM": "ticks", "SHARDS": 2}
    bridge = service("bridge", REDIS_URL=users["bridge"], **own)
    writer = start_writer(service, users["writer"], postgres.server, "ticks", SHARDS=2)
    forwarder = start_forwarder(service, users["forwarder"], centrifugo, "ticks", SHARDS=2)
    for shard in (0, 1):
        await bridge.wait_for("lease.taken", shard=shard)
    async with Redis.from_url(own_redis.url) as redis:
        for number in range(100):
            await redis.publish("NYSE", f"S{number}:{number + 1}")
            await redis.publish("NASDAQ", f"S{number}:none")
        for each in streams("ticks", 2):
            for group in ("writer", "forwarder"):
                await wait_until(partial(settled, redis, each, group), what=f"{group} of {each}")
            await wait_until(partial(is_trimmed, redis, each), what=f"{each} is trimmed")

    at = {"REDIS_URL": users["api"], "POSTGRES_DSN": postgres.dsn("api")}
    async with running_api(service, **own, **at) as api:
        status = (await api.get("/api/status")).json
    assert status["redis"] == "ok"
    assert status["dead_letters"] == {"bridge": 0, "forwarder": 100, "writer": 100}
    assert len(await stored(postgres.connection)) == 100
    assert not any(each.find("outage") for each in (bridge, writer, forwarder))


async def is_trimmed(redis: Redis, stream: str) -> bool:
    return await redis.xlen(stream) <= 1


async def test_ids_that_two_shards_have_alike_hide_no_tick_from_a_page(
    centrifugo_api: Centrifugo, feed: FeedClient
) -> None:
    async def none_follow(_: bytes, __: int) -> bool:
        return False

    first_us = entries(["A:1"])[0][0]
    for shard in (0, 1):
        publisher = Feed(centrifugo_api, timedelta(0), none_follow, shard)
        await publisher.publish([(first_us, b"NYSE", b"S%d:1" % shard)])
    await wait_until(lambda: len(feed.ticks) == 2, what="both ticks in the feed")


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2)])
async def test_another_number_of_shards_loses_nothing_if_the_old_ones_are_read_to_their_end(
    place: Place, postgres: Database, service: StartService, before: int, after: int
) -> None:
    """docs/shards.md: nobody publishes, no group lags, all stop, and start with another number."""
    redis, redis_url, stream = place
    sent = numbered(500, "A") + numbered(500, "B")
    for shards, part in ((before, sent[::2]), (after, sent[1::2])):
        bridge = bridging.another(service, redis_url, stream, SHARDS=shards)
        await wait_for_leases(bridge, shards)
        writer = start_writer(service, redis_url, postgres.server, stream, SHARDS=shards)
        names = [stream] if shards == 1 else streams(stream, shards)
        had = [await bridging.appended(redis, name) for name in names]
        await bridging.publish(redis, stream, *(each.encode() for each in part))
        for number, name in enumerate(names):
            new = sum(shard_of(each.encode(), shards) == number for each in part)
            await bridging.have_appended(redis, name, had[number] + new)
            await all_settled(redis, name, "writer")
        assert await writer.terminate() == 0
        assert await bridge.terminate() == 0

    rows = await stored(postgres.connection)
    assert sorted(f"{each.stock_name}:{each.price}" for each in rows) == sorted(sent)


async def wait_for_leases(bridge: Service, shards: int) -> None:
    for shard in range(shards):
        await bridge.wait_for("lease.taken", **({"shard": shard} if shards > 1 else {}))
