"""A Redis Cluster under load: masters die and wake, slots move, and each price is stored once."""

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from signal import SIGCONT, SIGSTOP
from time import monotonic

import pytest

from bridge.post import Post
from bridge.script import NOTHING, StreamScript
from bridge.settings import BridgeSettings
from tests.api_process import running_api
from tests.conftest import Database
from tests.feed_client import Tick, following
from tests.market import halves
from tests.numbering import Number, Numbered
from tests.redis_cluster import RedisCluster, redis_cluster
from tests.redis_scene import CAUGHT_UP, CHANNEL, Scene
from tests.servers import CentrifugoServer
from tests.services import StartService
from tests.waiting import wait_until

LOOKS = 3  # by the second one a bridge knows who is there
FIRST, SECOND, THIRD = (f"ticks:{{{shard}}}" for shard in range(3))


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    with redis_cluster() as running:
        yield running


@pytest.fixture
def scene(cluster: RedisCluster, postgres: Database, service: StartService) -> Scene:
    return Scene(cluster, postgres, service)


async def test_a_master_a_bridge_and_a_writer_die_under_load_and_every_price_is_stored_once(
    cluster: RedisCluster, scene: Scene, centrifugo: CentrifugoServer
) -> None:
    """Two bridges and three writers, each of them serves all three shards."""
    for _ in range(2):
        await scene.add_bridge()
    writers = {name: scene.add_writer(name) for name in ("a", "b", "c")}
    scene.add_forwarder(centrifugo)
    victim = cluster.master(FIRST)
    async with following(centrifugo.ws_url, f"prices:{CHANNEL}") as feed:
        async with scene.load(partial(cluster.url, SECOND)) as numbers:
            await scene.further(FIRST)
            leader = scene.leader(0)
            before = {each: cluster.appended(each) for each in (SECOND, THIRD)}
            cluster.kill(victim)
            leader.kill()
            writers["a"].kill()
            scene.start_bridge()  # by the supervisor: it knows less than the other one
            await cluster.promoted(FIRST, victim)
            for each in (SECOND, THIRD):
                assert cluster.appended(each) > before[each] + 50
            scene.add_writer("a")
            await scene.further(FIRST)
            cluster.start(victim)
            await cluster.is_well()
            await scene.further(FIRST)
        assert not await scene.missing(numbers)
        scene.nothing_was_missed()
        # The writer may be ahead of the forwarder.
        last = numbers.last.items()
        await wait_until(lambda: last <= set(shown(feed.ticks)), CAUGHT_UP, "the last are shown")
    assert not numbers.missing(shown(feed.ticks))


async def test_a_planned_failover_under_load_loses_nothing_and_repeats_nothing(
    cluster: RedisCluster, scene: Scene
) -> None:
    async with running(cluster, scene) as numbers:
        for _ in range(2):  # there, and back
            await cluster.fail_over(FIRST)
            await scene.further(FIRST)
            await cluster.is_well()
    assert not await scene.missing(numbers)
    scene.nothing_was_missed()


async def test_a_slot_that_moves_to_another_master_under_load_loses_nothing(
    cluster: RedisCluster, scene: Scene
) -> None:
    async with running(cluster, scene) as numbers:
        home = cluster.master(FIRST)
        for target in (cluster.master(SECOND), home):
            await cluster.move(FIRST, target)
            await scene.further(FIRST)
    assert not await scene.missing(numbers)
    scene.nothing_was_missed()


async def test_a_master_that_slept_until_it_was_replaced_wakes_as_a_replica(
    cluster: RedisCluster, scene: Scene
) -> None:
    async with running(cluster, scene) as numbers:
        asleep = cluster.master(FIRST)
        cluster.pause(asleep)
        await cluster.promoted(FIRST, asleep)
        cluster.resume(asleep)
        await scene.further(FIRST)
        await cluster.is_well()
        assert cluster.replica(FIRST) == asleep
    assert not await scene.missing(numbers)
    scene.nothing_was_missed()
    await scene.rows_are_entries()


@pytest.mark.parametrize("still_answers", [False, True])
async def test_the_node_that_bridges_listen_on_is_gone_and_what_was_missed_is_said(
    cluster: RedisCluster, scene: Scene, *, still_answers: bool
) -> None:
    async with running(cluster, scene) as numbers:
        listened = cluster.replica(FIRST)
        assert scene.listened(0) == {listened}
        if still_answers:
            cluster.forget(listened)
        else:
            cluster.kill(listened)
        await wait_until(scene.gaps, 20.0, "a gap is said")
        await wait_until(lambda: len(scene.listened(0) - {listened}) == 1, what="another node")
        await scene.further(FIRST)
    assert not await scene.unsaid(numbers)


async def test_generator_and_api_find_their_way_around_a_master_that_died(
    cluster: RedisCluster, scene: Scene
) -> None:
    await scene.add_bridge()
    scene.add_writer("a")
    market = cluster.settings("generator") | {"GENERATOR_HZ": "200"}
    generator = scene.service("generator", **market)
    own = scene.own("api") | {"POSTGRES_DSN": scene.postgres.dsn("api")}
    async with running_api(scene.service, **own) as api:
        await scene.further(FIRST)
        victim = cluster.master("ticks")  # where the generator publishes
        cluster.kill(victim)
        await cluster.promoted("ticks", victim)
        await scene.further(FIRST)
        assert await generator.terminate() == 0
        await scene.stored()
        status = (await api.get("/api/status")).json
    assert status["redis"] == "ok"
    assert status["stream"]["appended"] == sum(map(cluster.appended, scene.streams))
    assert status["groups"][1] == {
        "name": "writer",
        "lag_entries": 0,
        "lag_seconds": 0,
        "pending": 0,
        "consumers": 1,
    }
    assert status["bridge_gaps"]["count"] == 0


@asynccontextmanager
async def running(cluster: RedisCluster, scene: Scene) -> AsyncIterator[Numbered]:
    """Two bridges, a writer, and a load on a master that nothing happens to."""
    for _ in range(2):
        await scene.add_bridge()
    scene.add_writer("a")
    async with scene.load(partial(cluster.url, THIRD)) as numbers:
        await scene.further(FIRST)
        yield numbers


def shown(ticks: Iterable[Tick]) -> list[Number]:
    """As a page does it: what isn't newer than what it shows of a stock isn't shown."""
    newest: dict[str, tuple[int, int]] = {}
    found = []
    for entry_id, stock, price, *_ in ticks:
        if (position := halves(entry_id)) > newest.get(stock, (0, 0)):
            newest[stock] = position
            found.append((stock, int(price)))
    return found


def looks(cluster: RedisCluster, node: str) -> int:
    """How often bridges have called their script there; on a replica they don't."""
    calls = re.search(r"cmdstat_evalsha:calls=(\d+)", cluster.ask(node, "INFO", "commandstats"))
    return int(calls[1]) if calls else 0


async def test_what_a_new_master_lacks_is_appended_by_the_bridge_that_has_it(
    cluster: RedisCluster, postgres: Database, service: StartService
) -> None:
    """The other one has come later, finds the new master sooner, and sees nobody beside itself."""
    scene = Scene(cluster, postgres, service, shards=1)
    first = await scene.add_bridge()
    master, replica = cluster.places("ticks")
    staying = next(each for each in cluster.nodes if each not in {master, replica})
    cluster.ask(replica, "CONFIG", "SET", "masterauth", "none of its master's")
    cluster.ask(master, "CLIENT", "KILL", "TYPE", "replica")
    async with scene.load(lambda: cluster.nodes[staying].url) as numbers:
        await scene.further("ticks")
        second = await scene.add_bridge()
        await scene.further("ticks")
        first.signal(SIGSTOP)
        since = len(second.events)
        cluster.kill(master)
        await cluster.promoted("ticks", master)
        await wait_until(lambda: looks(cluster, replica) >= LOOKS, 20.0, "the other one has looked")
        first.signal(SIGCONT)
        await scene.further("ticks")
    scene.add_writer("a")
    assert await scene.missing(numbers) == set()
    assert first.find("stream.behind")
    assert not second.find("lease.taken", since)
    await scene.rows_are_entries()


async def test_who_listens_apart_from_the_leases_holder_is_told_and_sent_there(
    cluster: RedisCluster,
) -> None:
    own = cluster.settings("bridge")
    settings = BridgeSettings.model_validate({name.lower(): own[name] for name in own})
    posts = [Post(settings) for _ in range(3)]
    for post, node in zip(posts, ("there:1", "apart:1", "apart:1"), strict=True):
        post.go_to(node)
        post.connected, post.told_at = True, monotonic()
    scripts = [StreamScript(settings, post) for post in posts]
    first, second, third = scripts
    await third.look(None)
    await first.take(b"token", b"")
    assert (await second.look(None)).status == "HELD"  # nobody knows yet where its holder listens
    await first.append(b"token", 0, NOTHING, b"", b"")
    assert (await second.look(None)).status == "APART"
    assert await second.listen("anywhere:1", "") == ("there:1", 0)
    posts[1].go_to("there:1")
    assert (await second.look(None)).status == "HELD"
    for script in scripts:
        script.close()
