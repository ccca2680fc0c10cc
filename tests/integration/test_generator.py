"""The generator as a process: what it publishes, how fast, and what it does while Redis is away."""

from datetime import datetime
from pathlib import Path
from time import monotonic

import pytest
from redis.asyncio import Redis

from tests.servers import RedisServer
from tests.services import Event, Service, StartService
from tests.subscriber import Subscriber
from tests.waiting import wait_until

FAST = 1042  # moves a second: about 5,000 messages
MESSAGES_A_MOVE = 4.8
MOST_LINES = 16  # of progress, one every five seconds


async def test_prices_appear_on_both_channels(
    own_redis: RedisServer, subscriber: Subscriber, service: StartService
) -> None:
    service("generator", REDIS_URL=own_redis.url)
    await wait_until(lambda: len(subscriber.names) == 6)
    assert {channel for channel, _ in subscriber.messages} == {b"NYSE", b"NASDAQ"}


async def test_published_is_exactly_what_redis_accepted(
    own_redis: RedisServer, subscriber: Subscriber, service: StartService
) -> None:
    generator = service("generator", REDIS_URL=own_redis.url, GENERATOR_HZ=FAST)
    await wait_until(lambda: len(subscriber.messages) > 5000)
    assert await generator.terminate() == 0
    last = _last_progress(generator)
    assert last["unconfirmed"] == 0
    await wait_until(lambda: len(subscriber.messages) >= last["published"])
    assert len(subscriber.messages) == last["published"]


async def test_the_rate_is_held(own_redis: RedisServer, service: StartService) -> None:
    generator = service("generator", REDIS_URL=own_redis.url, GENERATOR_HZ=FAST)
    started = await generator.wait_for("service.started")

    lines = [{**started, "published": 0}]

    def share(early: Event, late: Event) -> float:
        """Of what was due between two lines, how much was published."""
        seconds = (_at(late) - _at(early)).total_seconds()
        published: int = late["published"] - early["published"]
        return published / (seconds * FAST * MESSAGES_A_MOVE)

    # A machine that is busy with other things may publish less for a while, but in all never more.
    while len(lines) == 1 or share(*lines[-2:]) < 0.97:
        assert len(lines) < MOST_LINES
        since = generator.events.index(lines[-1]) + 1 if len(lines) > 1 else 0
        lines.append(await generator.wait_for("progress", since=since))
        assert share(lines[0], lines[-1]) < 1.03


async def test_it_waits_for_a_redis_that_is_not_there_yet(
    own_redis: RedisServer, service: StartService
) -> None:
    own_redis.kill()
    generator = service("generator", REDIS_URL=own_redis.url, GENERATOR_HZ=100)
    outage = await generator.wait_for("outage", again_in_s=lambda pause: pause > 0.1)
    assert outage["neighbour"] == "redis"
    own_redis.start()
    await generator.wait_for("outage.over")
    assert await generator.terminate() == 0
    assert _last_progress(generator)["published"] > 0


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_what_is_missed_in_an_outage_is_skipped(
    own_redis: RedisServer, service: StartService, how: str
) -> None:
    began = monotonic()
    generator = service("generator", REDIS_URL=own_redis.url, GENERATOR_HZ=100)
    await generator.wait_for("service.started")
    async with Redis.from_url(own_redis.url, protocol=2) as client:
        await wait_until(lambda: _publishes(client))
    away = monotonic()
    getattr(own_redis, how)()
    await generator.wait_for("outage", limit=30)
    await wait_until(lambda: monotonic() - away > 3, what="an outage of 3 s")
    own_redis.resume() if how == "pause" else own_redis.start()
    await generator.wait_for("outage.over", limit=30)
    back = monotonic()
    assert await generator.terminate() == 0
    there = (away - began) + (monotonic() - back)
    assert _last_progress(generator)["published"] <= 100 * MESSAGES_A_MOVE * (there + 1.2)


async def test_a_stop_during_an_outage_is_obeyed(
    own_redis: RedisServer, service: StartService
) -> None:
    own_redis.kill()
    generator = service("generator", REDIS_URL=own_redis.url)
    await generator.wait_for("outage")
    assert await generator.terminate() == 0
    assert _last_progress(generator)["published"] == 0


async def test_the_heartbeat_file_is_touched(
    own_redis: RedisServer, service: StartService, tmp_path: Path
) -> None:
    heartbeat = tmp_path / "alive"
    service("generator", REDIS_URL=own_redis.url, HEARTBEAT_FILE=heartbeat)
    await wait_until(heartbeat.exists)
    first = heartbeat.stat().st_mtime_ns
    await wait_until(lambda: heartbeat.stat().st_mtime_ns > first)


async def _publishes(client: Redis) -> bool:
    stats = await client.info("commandstats")
    return "cmdstat_publish" in stats


def _last_progress(service: Service) -> Event:
    return [event for event in service.events if event["event"] == "progress"][-1]


def _at(event: Event) -> datetime:
    return datetime.fromisoformat(event["at"])
