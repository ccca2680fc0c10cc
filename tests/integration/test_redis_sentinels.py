"""A Redis with Sentinels: its master dies or is replaced under load, and the replica goes on."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from tests.conftest import Database
from tests.numbering import Numbered
from tests.redis_scene import STREAM, Scene
from tests.redis_sentinels import RedisSentinels, redis_sentinels
from tests.services import StartService


@pytest.fixture
def sentinels() -> Iterator[RedisSentinels]:
    with redis_sentinels() as running:
        yield running


@pytest.fixture
def scene(sentinels: RedisSentinels, postgres: Database, service: StartService) -> Scene:
    return Scene(sentinels, postgres, service, shards=1)


@asynccontextmanager
async def running(sentinels: RedisSentinels, scene: Scene) -> AsyncIterator[Numbered]:
    """Two bridges, a writer, and a load on whoever is the master."""
    for _ in range(2):
        await scene.add_bridge()
    assert scene.listened() == {sentinels.replica(STREAM)}
    scene.add_writer("a")
    async with scene.load(partial(sentinels.url, STREAM)) as numbers:
        await scene.further(STREAM)
        yield numbers
        await scene.further(STREAM)


async def test_a_master_that_dies_under_load_is_followed_by_its_replica_and_what_was_missed_is_said(
    sentinels: RedisSentinels, scene: Scene
) -> None:
    async with running(sentinels, scene) as numbers:
        old = sentinels.master(STREAM)
        sentinels.kill(old)
        await sentinels.promoted(old)
    assert not await scene.unsaid(numbers)


async def test_a_master_that_hands_over_as_planned_loses_no_price(
    sentinels: RedisSentinels, scene: Scene
) -> None:
    async with running(sentinels, scene) as numbers:
        await sentinels.hand_over()
    assert not await scene.missing(numbers)
