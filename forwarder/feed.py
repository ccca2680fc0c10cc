"""Feed: ticks into publications; bytes are spliced, never decoded and encoded again."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from math import inf
from typing import NamedTuple

import orjson

from forwarder.centrifugo import Centrifugo, Publication
from forwarder.conflation import Conflation, Row
from pipeline.events import emit
from pipeline.metrics import Distribution
from pipeline.outage import Outage, pause
from pipeline.stream import Entry, Rejected
from pipeline.ticks import sift

_DATA = b'{"columns":["id","stock_name","price","received_us"],"ticks":[%b],"skipped":%d}'
_ROW = b'["%b",%b,%b,%d]'
MAX_TICKS = 500  # in a publication: about 30 kB, far below a client's queue


NEWS_EVERY = 2.0  # seconds, in a backlog that takes longer, or whose end somebody else had
LOOKS = 4  # for them in that time


class News(NamedTuple):
    """What an exchange's channel gets next."""

    rows: list[Row]
    skipped: int


class Feed:
    """Publishes each batch; too far behind, only now and then what is the newest of each stock."""

    def __init__(
        self,
        centrifugo: Centrifugo,
        max_lag: timedelta,
        more_follow: Callable[[bytes, int], Awaitable[bool]],
        shard: int | None = None,
    ) -> None:
        """`more_follow`: whether the batch up to this id, of so many, is not a backlog's last."""
        self._centrifugo = centrifugo
        self._max_lag_us = int(max_lag.total_seconds() * 1e6)
        self._more_follow = more_follow
        # Ids are of a stream: another one may have the same, and Centrifugo would drop its ticks.
        self._key_begins = "" if shard is None else f"{shard}:"
        self._held: defaultdict[str, Conflation] = defaultdict(Conflation)  # by exchange
        self._held_since = inf  # by the monotonic clock
        self._sending = asyncio.Lock()
        self._newest_id = b""  # of the batch in hand
        # By the monotonic clock: a batch that reached the stream's end was there; so the one in
        # hand came after that.
        self._at_end, self._came_after = -inf, -inf
        self._counts = {"publications": 0, "skipped": 0}
        self._seconds = Distribution()  # of one request

    def metrics(self) -> dict[str, object]:
        """Cumulative, but for the quantiles: those are of the time since the last call."""
        return {**self._counts, "publish_seconds": self._seconds.read()}

    async def publish(self, entries: Sequence[Entry]) -> list[Rejected]:
        """Send the batch in one request; raises Outage, safe to repeat within five minutes."""
        rows, rejected = _rows(entries)
        newest_id = entries[-1][0]
        late = self._is_late(newest_id)
        more = late and await self._more_follow(newest_id, len(entries))
        behind = self._may_be_old(newest_id, more=more) and late
        async with self._sending:
            if behind and more:
                self._hold(rows)
            else:
                conflated = behind or bool(self._held)
                await self._send(self._news(rows, one_of_each=behind), conflated=conflated)
        return rejected

    async def publish_held(self) -> None:
        """When no batch comes any more; raises Outage."""
        async with self._sending:
            if self._held:
                await self._send(self._news({}, one_of_each=True), conflated=True)

    async def publish_long_held(self, stop: asyncio.Event) -> None:
        """Until `stop`. A Centrifugo that is away is the next batch's to say."""
        while not stop.is_set():
            await pause(stop, NEWS_EVERY / LOOKS)
            if time.monotonic() - self._held_since > NEWS_EVERY:
                with suppress(Outage):
                    await self.publish_held()

    def _hold(self, rows: Mapping[str, Sequence[Row]]) -> None:
        if not self._held:
            self._held_since = time.monotonic()
        for exchange, some in rows.items():
            self._held[exchange].add(some)

    def _news(self, rows: Mapping[str, Sequence[Row]], *, one_of_each: bool) -> dict[str, News]:
        """What was passed over, and these; changes nothing, as sending it may fail."""
        found: dict[str, News] = {}
        for exchange in dict.fromkeys([*self._held, *rows]):
            held, some = self._held.get(exchange, Conflation()), rows.get(exchange, ())
            if one_of_each:
                held = held.copy()
                held.add(some)
                some = ()
            found[exchange] = News([*held.newest.values(), *some], held.skipped)
        return found

    async def _send(self, news: Mapping[str, News], *, conflated: bool) -> None:
        publications = [
            each for name, some in news.items() for each in self._publications(name, some)
        ]
        if publications:
            began = time.monotonic()
            await self._centrifugo.publish(publications)
            self._seconds.observe(time.monotonic() - began)
            self._counts["publications"] += len(publications)
        if conflated:
            skipped = sum(some.skipped for some in news.values())
            sent = sum(len(some.rows) for some in news.values())
            emit("forwarder.conflated", skipped=skipped, sent=sent)
            self._counts["skipped"] += skipped
        self._held.clear()
        self._held_since = inf

    def _publications(self, exchange: str, news: News) -> Iterator[Publication]:
        rows, skipped = news
        for begin in range(0, len(rows), MAX_TICKS):
            part = rows[begin : begin + MAX_TICKS]
            yield Publication(
                channel=f"prices:{exchange}",
                key=f"{self._key_begins}{part[0][0].decode()}_{part[-1][0].decode()}_{len(part)}",
                data=_DATA
                % (b",".join([_ROW % row for row in part]), skipped if begin == 0 else 0),
            )

    def _is_late(self, newest_id: bytes) -> bool:
        """By two clocks: the bridge's, which made the id, and ours."""
        if not self._max_lag_us:
            return False
        ms = int(newest_id.partition(b"-")[0])
        return time.time_ns() // 1000 - ms * 1000 > self._max_lag_us

    def _may_be_old(self, newest_id: bytes, *, more: bool) -> bool:
        """By one clock, which never steps: or two that differ would make all late for ever."""
        if newest_id != self._newest_id:  # else the same batch again
            self._newest_id, self._came_after = newest_id, self._at_end
            if not more:
                self._at_end = time.monotonic()
        return (time.monotonic() - self._came_after) * 1e6 > self._max_lag_us


def _rows(entries: Sequence[Entry]) -> tuple[dict[str, list[Row]], list[Rejected]]:
    """By exchange, and what nobody can use."""
    ticks, rejected = sift(entries)
    names = map(_quoted, ticks.stock_names)
    found = zip(ticks.ids, names, ticks.prices, ticks.received_us(), strict=True)
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for exchange, row in zip(ticks.exchanges, found, strict=True):
        rows[exchange].append(row)
    return rows, rejected


@lru_cache(maxsize=100_000)
def _quoted(stock_name: str) -> bytes:
    return bytes(memoryview(orjson.dumps(stock_name)))  # a copy: its own keeps a buffer of 4 kB
