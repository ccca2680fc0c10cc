"""Readers that come and go, with names of their own, while prices come in: nothing is stranded."""

import random
import signal
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from local.instance import read_dotenv
from pipeline.peers import GRACE, LIFE
from pipeline.suspects import SUSPICIOUS
from tests.conftest import Database
from tests.consumers import start_forwarder, start_writer
from tests.looking import look
from tests.servers import CentrifugoServer, RedisServer
from tests.services import ROOT, Service, StartService
from tests.ticks import all_settled, append, dead_letters, entries, row, stored, trading
from tests.waiting import wait_until

CHANGES = 12
TOGETHER = 20  # ticks: about a thousand a second
AFTER_A_DEATH = LIFE + GRACE + 15  # and the time that a busy machine takes for the work
SEED = 7

pytestmark = pytest.mark.timeout(180)


async def test_writers_that_come_and_go_at_any_moment_leave_no_tick_behind(
    redis: Any, postgres: Database, service: StartService, redis_url: str, stream: str
) -> None:
    chance = random.Random(SEED)  # noqa: S311  # any moment will do
    # Nearly always with entries in hand.
    start = partial(start_writer, service, redis_url, postgres.server, stream, FLUSH_INTERVAL=1)
    started: dict[int, Service] = {}
    async with trading(redis, stream, TOGETHER) as sent:
        for number in range(CHANGES):
            running = [each for each in started.values() if each.running]
            if len(running) < 2 or (len(running) < 4 and chance.random() < 0.5):
                started[number] = start(CONSUMER=f"writer-{number}")
                await started[number].wait_for("service.started")
            else:
                leaver = chance.choice(running)
                leaver.signal(chance.choice([signal.SIGKILL, signal.SIGTERM]))
                await leaver.exit_code()
            await _further(redis, stream, chance.randrange(50, 500))
    await all_settled(redis, stream, "writer", AFTER_A_DEATH)

    assert await stored(postgres.connection) == [row(entry) for entry in sent]
    assert await dead_letters(redis, stream, "writer") == []
    assert any(each.find("stream.claimed") for each in started.values())
    alive = {f"writer-{number}" for number, each in started.items() if each.running}
    await wait_until(lambda: _are_known(redis, stream, alive), AFTER_A_DEATH)


async def _are_known(redis: Any, stream: str, alive: set[str]) -> bool:
    """These, and nobody else."""
    consumers = await redis.xinfo_consumers(stream, "writer")
    return {each["name"].decode() for each in consumers} == alive


async def _further(redis: Any, stream: str, more: int) -> None:
    """Return when so many more have been appended."""
    goal = await redis.xlen(stream) + more

    async def there() -> bool:
        return bool(await redis.xlen(stream) >= goal)

    await wait_until(there)


@pytest.mark.parametrize("group", ["writer", "forwarder"])
async def test_a_readers_own_redis_user_may_all_that_it_does(
    own_redis: RedisServer,
    postgres: Database,
    centrifugo: CentrifugoServer,
    service: StartService,
    group: str,
) -> None:
    """Claims, suspects, burials, the end: what it may not, it would wait for as for an outage."""
    host = urlsplit(own_redis.url).netloc.rpartition("@")[2]
    password = read_dotenv(ROOT / ".env")[f"REDIS_{group.upper()}_PASSWORD"]
    url = f"redis://{group}:{quote(password, safe='')}@{host}/0"
    async with look(own_redis.url) as redis:
        await append(redis, "ticks", entries(["TSLA:1", "no price", "TSLA:2"]))
        await redis.xgroup_create("ticks", group, id="0")
        await redis.xreadgroup(group, "dead", {"ticks": ">"})
        for _ in range(SUSPICIOUS):
            await redis.xreadgroup(group, "dead", {"ticks": "0"})
        if group == "writer":
            reader = start_writer(service, url, postgres.server, "ticks", BLOCK=0.2)
        else:
            reader = start_forwarder(service, url, centrifugo, "ticks", BLOCK=0.2)
        await all_settled(redis, "ticks", group)

        assert reader.find("stream.suspects", entries=3)
        [letter] = await dead_letters(redis, "ticks", group)
        assert letter[b"message"] == b"no price"
        assert await reader.terminate() == 0
        assert await redis.xinfo_consumers("ticks", group) == []
        environment = {"REDIS_URL": url, "CENTRIFUGO_API_URL": centrifugo.api_url}
        environment |= {"CENTRIFUGO_API_KEY": "key", "POSTGRES_DSN": postgres.dsn("writer")}
        tool = service(group, "--dead-letters", "--drop", **environment)
        assert await tool.exit_code() == 0
        assert await dead_letters(redis, "ticks", group) == []
    assert not reader.find("outage")
