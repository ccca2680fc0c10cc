"""The load generator on a real Redis: what it says it published is what subscribers get."""

import asyncio

import pytest

from bench.load import Load, number_of, publish
from tests.servers import RedisServer
from tests.subscriber import Subscriber
from tests.waiting import wait_until

LOAD = Load(rate=50_000, seconds=0.5, stocks=6)


async def test_every_message_arrives_once_and_in_order(
    own_redis: RedisServer, subscriber: Subscriber
) -> None:
    report = await asyncio.to_thread(publish, LOAD, own_redis.url)
    assert report["published"] == LOAD.count
    await wait_until(lambda: len(subscriber.messages) >= LOAD.count)
    numbers = [number_of(float(message.split(b":")[1])) for _, message in subscriber.messages]
    assert numbers == [index // LOAD.stocks + 1 for index in range(LOAD.count)]


async def test_a_wrong_password_is_said(own_redis: RedisServer) -> None:
    url = own_redis.url.replace("redis://", "redis://somebody:wrong@")
    with pytest.raises(ConnectionError, match="WRONGPASS"):
        await asyncio.to_thread(publish, LOAD, url)
