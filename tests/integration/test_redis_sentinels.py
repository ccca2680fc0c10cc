"""A Redis with Sentinels: the master dies under load, and its replica goes on from there."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.conftest import Database
from tests.redis_scene import STREAM, Scene
from tests.redis_sentinels import RedisSentinels, redis_sentinels
from tests.services import StartService


@pytest.fixture
def sentinels() -> Iterator[RedisSentinels]:
    with redis_sentinels() as running:
        yield running


async def test_a_master_that_dies_under_load_is_followed_by_its_replica_and_what_was_missed_is_said(
    sentinels: RedisSentinels, postgres: Database, service: StartService
) -> None:
    scene = Scene(sentinels, postgres, service, shards=1)
    for _ in range(2):
        await scene.add_bridge()
    scene.add_writer("a")
    async with scene.load(partial(sentinels.url, STREAM)) as numbers:
        await scene.further(STREAM)
        old = sentinels.master(STREAM)
        assert scene.listened() == {sentinels.replica(STREAM)}
        sentinels.kill(old)
        await sentinels.promoted(old)
        await scene.further(STREAM)
    assert not await scene.unsaid(numbers)
