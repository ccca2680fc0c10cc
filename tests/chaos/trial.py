"""Trial: one seeded run: load, faults one after the other, then the comparison."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import Any
from urllib.parse import quote

import aiohttp
import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from local.instance import LOOPBACK
from tests.chaos import comparison
from tests.chaos.comparison import Stored, Totals, compare
from tests.chaos.faults import faults
from tests.chaos.load import STOCKS, Load
from tests.chaos.page import Id, Page
from tests.chaos.scene import Scene
from tests.chaos.stack import Stack
from tests.market import halves

LOOK_EVERY = 0.05
RECOVERY_LIMIT = 30.0
DRAIN_LIMIT = 60.0
CALM = (0.1, 1.0)  # seconds between two faults
GROUPS = ("forwarder", "writer")
CHANNELS = ("NYSE", "NASDAQ")
PROBE = "CHAOS-A"
NEWEST = """
SELECT (price * 100)::bigint AS number FROM stock_prices WHERE stock_name = $1
ORDER BY timestamp DESC, event_id DESC LIMIT 1
"""
ROWS = """
SELECT stock_name, (extract(epoch FROM timestamp) * 1000000)::bigint AS us, event_id,
       (price * 100)::bigint AS number
FROM stock_prices ORDER BY timestamp, event_id
"""


@dataclass
class Outcome:
    """A run, whether it came to its end or was interrupted."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    longest_recovery_s: float = 0.0
    totals: Totals = field(default_factory=Totals)


class Trial:
    """`stop` ends the faults early; what was published until then is compared all the same."""

    def __init__(
        self, stack: Stack, outcome: Outcome, stop: asyncio.Event, say: Callable[[str], None]
    ) -> None:
        self._stack = stack
        self._outcome = outcome
        self._stop = stop
        self._say = say
        self._random = Random(outcome.seed)  # noqa: S311  # faults, not secrets
        given = stack.instance.environment()
        login = f"{given['POSTGRES_USER']}:{quote(given['POSTGRES_PASSWORD'], safe='')}"
        where = f"{LOOPBACK}:{stack.instance.postgres_port}/{given['POSTGRES_DB']}"
        self._owner_dsn = f"postgresql://{login}@{where}"
        self._redis: Any = Redis.from_url(stack.instance.redis_url("operator"))
        self._page = Page(stack.instance.url)
        self._faults: list[comparison.Fault] = []

    async def run(self, kinds: Sequence[str], cycles: int, rate: int) -> None:
        """All of it; the outcome is complete when this returns."""
        load = Load(self._stack.instance.redis_url("operator"), rate)
        following = asyncio.create_task(self._page.run())
        try:
            await self._all_listen()
            async with load.running():
                try:
                    await self._break_things(kinds, cycles, load)
                finally:
                    self._outcome.totals.ticks = load.published
                await self._recovered("the last fault", load)
            drained = await self._drained(load.number)
            holes = self._holes()
            totals = compare(load, await self._table(), self._page, holes, self._faults)
            for text in self._outcome.totals.differences:
                totals.note(text)
            self._outcome.totals = totals
            if not drained:
                totals.note(f"not drained after {DRAIN_LIMIT:g} s")
            await self._look_at_the_rest(totals)
            said = Counter(event["event"] for event in self._stack.events())
            again, gaps = said["writer.redelivered"], len(holes)
            behind = said["bridge.clock_behind"]
            self._say(
                f"on the way: {again} batches stored already came again, {gaps} bridge gaps,"
                f" a bridge's clock behind {behind} times"
            )
            if not behind and self._outcome.faults["clock:bridge"] and not self._stack.bridges[1:]:
                totals.note("the bridge didn't say that its clock was behind")
            if following.done():
                totals.note(f"the page ended: {following.exception()!r}")
        finally:
            following.cancel()
            await asyncio.wait({following})
            await self._redis.aclose()

    async def _all_listen(self) -> None:
        """What nobody listens to at the start would count as missing."""
        deadline = monotonic() + RECOVERY_LIMIT
        while self._page.subscribed < len(CHANNELS) or not all(
            count >= len(self._stack.bridges)
            for _, count in await self._redis.pubsub_numsub(*CHANNELS)
        ):
            if monotonic() > deadline:
                raise TimeoutError(f"no bridge or no page listens after {RECOVERY_LIMIT:g} s")
            await asyncio.sleep(LOOK_EVERY)

    async def _break_things(self, kinds: Sequence[str], cycles: int, load: Load) -> None:
        known = faults()
        note = self._outcome.totals.note
        scene = Scene(self._stack, self._random, self._owner_dsn, note)
        for kind in draw(kinds, cycles, self._random):
            if self._stop.is_set():
                break
            began, from_us = monotonic(), _now_us()
            try:
                await known[kind](scene)
            except RedisError as error:
                self._say(f"{kind}: {error!r}")
            self._outcome.faults[kind] += 1
            recovery = await self._recovered(kind, load)
            self._faults.append(comparison.Fault(from_us, _now_us()))
            self._outcome.longest_recovery_s = max(self._outcome.longest_recovery_s, recovery)
            self._say(
                f"{self._outcome.faults.total():4} of {cycles} {kind:30}"
                f" {monotonic() - began:5.1f} s, recovery {recovery:.1f} s,"
                f" {load.published} ticks"
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._random.uniform(*CALM))

    async def _recovered(self, since: str, load: Load) -> float:
        """Seconds until a tick published after now is in the table and on the page; the api too."""
        began, last = monotonic(), load.number  # not by time: ids may be ahead of the clock
        while not (
            self._page.shows(PROBE, last)
            and await self._is_stored(last)
            and await self._api_is_well()
        ):
            if monotonic() - began > RECOVERY_LIMIT:
                self._outcome.totals.note(f"no recovery within {RECOVERY_LIMIT:g} s of {since}")
                break
            await asyncio.sleep(LOOK_EVERY)
        return monotonic() - began

    async def _is_stored(self, after: int) -> bool:
        newest = await self._ask(NEWEST, PROBE)
        return bool(newest and newest[0]["number"] > after)

    async def _api_is_well(self) -> bool:
        """It reaches both its servers."""
        limit = aiohttp.ClientTimeout(total=5)
        with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
            async with (
                aiohttp.ClientSession(timeout=limit) as http,
                http.get(f"{self._stack.instance.url}/api/status") as answer,
            ):
                said = await answer.json()
                return [said.get(server) for server in ("redis", "postgres")] == ["ok", "ok"]
        return False

    async def _ask(self, question: str, *values: object) -> list[Any] | None:
        """None while PostgreSQL doesn't answer."""
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(self._owner_dsn, timeout=5, command_timeout=60)
            try:
                return list(await connection.fetch(question, *values))
            finally:
                connection.terminate()
        return None

    async def _drained(self, number: int) -> bool:
        """Nothing is on its way any more: not in the bridge, not in a group, not to the page."""
        deadline = monotonic() + DRAIN_LIMIT
        while not await self._is_drained(number):
            if monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_EVERY)
        return True

    async def _is_drained(self, number: int) -> bool:
        with suppress(RedisError, OSError):
            newest = (await self._redis.xinfo_stream("ticks"))["last-generated-id"]
            groups = {row["name"].decode(): row for row in await self._redis.xinfo_groups("ticks")}
            return all(
                groups[name]["last-delivered-id"] == newest and not groups[name]["pending"]
                for name in GROUPS
            ) and all(shown[-1:] == [number] for shown in self._page.shown.values())
        return False

    async def _table(self) -> dict[str, list[Stored]]:
        table: dict[str, list[Stored]] = {name: [] for name in STOCKS}
        for row in await self._ask(ROWS) or []:
            table[row["stock_name"]].append(Stored(row["us"], row["event_id"], row["number"]))
        return table

    def _holes(self) -> list[Id]:
        said = [event for event in self._stack.events() if event["event"] == "bridge.gap"]
        return [halves(str(event["after"])) for event in said]

    async def _look_at_the_rest(self, totals: Totals) -> None:
        for group in ("bridge", *GROUPS):
            for _, letter in await self._redis.xrange(f"{{ticks}}:dead:{group}"):
                totals.differ(
                    "dead_letters", f"{group}: {letter[b'message']!r}: {letter[b'reason']!r}"
                )
        for event in self._stack.events():
            if event["event"] in ("service.crashed", "stream.entry_lost"):
                totals.note(f"{event['service']} said {event}")


def _now_us() -> int:
    return time.time_ns() // 1000


def draw(kinds: Sequence[str], cycles: int, random: Random) -> list[str]:
    """Each kind about as often as the others, in an order that the seed makes."""
    drawn: list[str] = []
    while len(drawn) < cycles:
        drawn += random.sample(kinds, len(kinds))
    return drawn[:cycles]
