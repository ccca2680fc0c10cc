"""What services say of themselves: every metric is there, is one, and is right."""

import asyncio
from collections.abc import Callable
from time import time
from typing import Any

import pytest
from redis.asyncio import Redis

from tests import bridging
from tests.api_process import NOON, running_api, store, tick
from tests.conftest import Database
from tests.consumers import start_forwarder, start_writer
from tests.metrics import (
    ASKED,
    EVERY_SERVICE,
    FIELDS,
    Metric,
    last_metrics,
    metric,
    metrics_of,
)
from tests.servers import CentrifugoServer, RedisServer
from tests.services import Event, Service, StartService
from tests.ticks import all_settled, append, entries, numbered, stored

LINE = 15.0  # seconds in which there must be another line, whatever is away
NOBODY = "127.0.0.1:1"


async def next_metrics(service: Service) -> dict[Metric, float]:
    return metrics_of(await service.wait_for("progress", LINE, since=len(service.events)))


async def metrics_when(
    service: Service, name: str, is_right: Callable[[float], bool], **labels: str
) -> dict[Metric, float]:
    """Of the first line, from now on, that has this metric and has it right."""
    wanted, since = metric(name, **labels), len(service.events)
    while True:
        line = await service.wait_for("progress", LINE, since=since)
        since = service.events.index(line) + 1
        told = metrics_of(line)
        if wanted in told and is_right(told[wanted]):
            return told


async def complete(service: Service) -> Event:
    """A line with all that the service has to say."""
    fields = FIELDS[service.name] | EVERY_SERVICE
    there: dict[str, Any] = dict.fromkeys(fields, lambda _: True)
    return await service.wait_for("progress", LINE, **there)


async def test_the_writer_counts_the_rows_that_are_stored(
    redis: Redis, postgres: Database, service: StartService, redis_url: str, stream: str
) -> None:
    sent = entries([*numbered(300), "no price", *numbered(200, "NFLX")])
    await append(redis, stream, sent[:100])
    first = start_writer(service, redis_url, postgres.server, stream)
    await all_settled(redis, stream, "writer")
    first.kill()
    await redis.xgroup_setid(stream, "writer", id="0")  # all of it again
    await append(redis, stream, sent[100:])
    begun = time()
    writer = start_writer(service, redis_url, postgres.server, stream)
    await all_settled(redis, stream, "writer")
    line = await complete(writer)
    told = metrics_of(line)

    assert told[metric("rows")] + 100 == len(await stored(postgres.connection)) == 500
    assert (told[metric("repeated")], told[metric("dead_letters")]) == (100, 1)
    assert (told[metric("handled")], told[metric("age_seconds", stat="count")]) == (500, 501)
    flushes = told[metric("copy_seconds", stat="count")]
    assert flushes == told[metric("flush_rows", stat="count")]
    assert 1 <= flushes <= told[metric("batches")]
    assert told[metric("flush_rows", stat="sum")] == 500
    assert 0 < told[metric("copy_seconds", stat="p50")] <= told[metric("copy_seconds", stat="max")]
    assert (told[metric("lag_entries")], told[metric("lag_seconds")]) == (0, 0)
    assert begun < line["started_at"] < time()


async def test_lag_grows_while_the_writer_is_held_and_falls_to_zero(
    redis: Redis, postgres: Database, service: StartService, redis_url: str, stream: str
) -> None:
    async with postgres.connection.transaction():
        await postgres.connection.execute("LOCK TABLE stock_prices IN EXCLUSIVE MODE")
        writer = start_writer(service, redis_url, postgres.server, stream)
        await append(redis, stream, entries(numbered(300)))
        told = await metrics_when(writer, "lag_entries", lambda entries: entries == 300)
        await append(redis, stream, entries(numbered(200, "NFLX")))
        later = await metrics_when(writer, "lag_entries", lambda entries: entries == 500)
        assert later[metric("lag_seconds")] > told[metric("lag_seconds")] + 3
    told = await metrics_when(writer, "lag_entries", lambda entries: entries == 0)
    assert told[metric("lag_seconds")] == 0
    assert told[metric("age_seconds", stat="max")] > 3
    assert told[metric("rows")] == 500


async def test_the_forwarder_counts_what_was_published(
    redis: Redis, centrifugo: CentrifugoServer, service: StartService, redis_url: str, stream: str
) -> None:
    await append(redis, stream, entries([*numbered(30), "no price"]))
    forwarder = start_forwarder(service, redis_url, centrifugo, stream)
    await all_settled(redis, stream, "forwarder")
    told = metrics_of(await complete(forwarder))

    assert (told[metric("handled")], told[metric("dead_letters")]) == (30, 1)
    assert (told[metric("publications")], told[metric("skipped")]) == (1, 0)
    assert told[metric("publish_seconds", stat="count")] == 1
    assert told[metric("age_seconds", stat="count")] == 31
    assert 0 < told[metric("publish_seconds", stat="max")] < told[metric("age_seconds", stat="max")]
    assert (told[metric("lag_entries")], told[metric("lag_seconds")]) == (0, 0)


async def test_the_bridge_knows_its_stream_and_its_redis(
    redis: Redis, service: StartService, redis_url: str, stream: str
) -> None:
    bridge = await bridging.start(service, redis_url, stream)
    await bridging.publish(redis, stream, *bridging.numbered(0, 2500))
    await bridging.have_appended(redis, stream, 2500)
    told = await metrics_when(bridge, "appended", lambda count: count == 2500)

    assert (FIELDS["bridge"] | EVERY_SERVICE) <= (await complete(bridge)).keys()
    assert told[metric("age_seconds", stat="count")] == 2500
    # A call takes fewer than twice a thousand, so here two is the least there can be.
    assert 2 <= told[metric("append_seconds", stat="count")] <= told[metric("calls")]
    assert told[metric("stream_length")] == 2500
    assert 0 < told[metric("redis_memory_bytes")] < told[metric("redis_memory_limit_bytes")]
    assert (told[metric("lease_changes")], told[metric("gap_seconds")]) == (1, 0)


async def test_a_gap_has_a_length(
    own_redis: RedisServer, service: StartService, stream: str
) -> None:
    bridge = await bridging.start(service, own_redis.url, stream)
    own_redis.kill()
    await bridge.wait_for("outage")
    own_redis.start()
    gap = await bridge.wait_for("bridge.gap")
    told = await metrics_when(bridge, "gaps", lambda count: count == 1)
    assert told[metric("gap_seconds")] == pytest.approx(gap["seconds"])
    assert told[metric("errors", kind="outage:redis")] >= 1


@pytest.mark.parametrize("take_away", [RedisServer.kill, RedisServer.pause])
async def test_metrics_go_on_while_redis_is_away_and_are_whole_afterwards(
    own_redis: RedisServer,
    postgres: Database,
    service: StartService,
    stream: str,
    take_away: Callable[[RedisServer], None],
) -> None:
    writer = start_writer(service, own_redis.url, postgres.server, stream)
    bridge = await bridging.start(service, own_redis.url, stream)
    await asyncio.gather(complete(writer), complete(bridge))

    take_away(own_redis)
    bring_back = own_redis.start if take_away is RedisServer.kill else own_redis.resume
    for each in (writer, bridge):
        told = await metrics_when(each, "errors", lambda count: count > 0, kind="outage:redis")
        assert not {name for name, _ in told} & ASKED
    bring_back()
    await metrics_when(writer, "lag_entries", lambda entries: entries == 0)
    await metrics_when(bridge, "stream_length", lambda entries: entries == 0)


async def test_the_api_counts_requests(
    service: StartService, postgres: Database, redis_url: str
) -> None:
    await store(postgres.connection, [tick(0, "5.10"), tick(1, "5.20")])
    async with running_api(service, POSTGRES_DSN=postgres.dsn("api"), REDIS_URL=redis_url) as api:
        for _ in range(3):
            assert (await api.get(f"/api/prices/TSLA?start_time={NOON / 1e6}")).status == 200
        await api.request("HEAD", "/api/stocks")
        await api.get("/api/latest/NOBODY")
        await api.get("/nothing")
        await api.request("BREW", "/api/stocks")
        assert await api.process.terminate() == 0
    told = last_metrics(api.process)
    for labels, count in {
        ("/api/prices/{stock_name}", "GET", "200"): 3,
        ("/api/stocks", "HEAD", "200"): 1,
        ("/api/stocks", "other", "405"): 1,
        ("/api/latest/{stock_name}", "GET", "404"): 1,
        ("other", "GET", "404"): 1,
    }.items():
        named = dict(zip(("route", "method", "status"), labels, strict=True))
        assert told[metric("requests", **named)] == count, named
    stats = {"route": "/api/prices/{stock_name}"}
    assert told[metric("request_seconds", **stats, stat="count")] == 3
    assert 0 < told[metric("request_seconds", **stats, stat="p99")] < 5


async def test_the_api_says_when_its_database_is_away(service: StartService) -> None:
    async with running_api(service) as api:
        assert (await api.get("/api/stocks")).status == 503
        told = await metrics_when(
            api.process, "errors", lambda count: count == 1, kind="outage:postgres"
        )
    assert told[metric("requests", route="/api/stocks", method="GET", status="503")] == 1


async def test_a_crash_is_the_last_metric(service: StartService) -> None:
    odd = service("tests.odd_service", REDIS_URL=f"redis://{NOBODY}/0", BEHAVIOUR="crash")
    assert await odd.exit_code() == 1
    told = last_metrics(odd)
    assert told[metric("errors", kind="crash")] == 1
    assert told[metric("started_at")] > 0


async def test_the_generator_counts_what_was_published(
    service: StartService, redis_url: str
) -> None:
    generator = service("generator", REDIS_URL=redis_url)
    assert (await next_metrics(generator))[metric("published")] > 0
    assert FIELDS["generator"] | EVERY_SERVICE <= (await complete(generator)).keys()
