"""Feed: ticks into publications; bytes are spliced, never decoded and encoded again."""

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import lru_cache

import orjson

from forwarder.centrifugo import Centrifugo, Publication
from pipeline.events import emit
from pipeline.metrics import Distribution
from pipeline.stream import Entry, Rejected
from pipeline.tick import InvalidTick, exchange_name, parse_message, received_us

_DATA = b'{"columns":["id","stock_name","price","received_us"],"ticks":[%b],"skipped":%d}'
MAX_TICKS = 500  # in a publication: about 30 kB, far below a client's queue


Row = tuple[bytes, str, bytes]
"""Entry id, stock name, and the tick as the browser gets it."""


class Feed:
    """Publishes each batch; too far behind, only what is still news."""

    def __init__(self, centrifugo: Centrifugo, max_lag: timedelta) -> None:
        self._centrifugo = centrifugo
        self._max_lag_us = int(max_lag.total_seconds() * 1e6)
        self._counts = {"publications": 0, "skipped": 0}
        self._seconds = Distribution()  # of one request

    def metrics(self) -> dict[str, object]:
        """Cumulative, but for the quantiles: those are of the time since the last call."""
        return {**self._counts, "publish_seconds": self._seconds.read()}

    async def publish(self, entries: Sequence[Entry]) -> list[Rejected]:
        """Send the batch in one request; raises Outage, safe to repeat within five minutes."""
        rejected: list[Rejected] = []
        exchanges: dict[str, list[Row]] = {}
        for entry in entries:
            try:
                exchanges.setdefault(exchange_name(entry[1]), []).append(_row(entry))
            except InvalidTick as fault:
                rejected.append(Rejected(entry, str(fault)))
        publications: list[Publication] = []
        skipped = 0
        conflate = self._is_behind(entries[-1][0])
        for exchange, rows in exchanges.items():
            news = _newest_of_each_stock(rows) if conflate else rows
            publications += _publications(exchange, news, skipped=len(rows) - len(news))
            skipped += len(rows) - len(news)
        if publications:
            began = time.monotonic()
            await self._centrifugo.publish(publications)
            self._seconds.observe(time.monotonic() - began)
        if conflate:
            sent = len(entries) - len(rejected) - skipped
            emit("forwarder.conflated", skipped=skipped, sent=sent)
        self._counts["publications"] += len(publications)
        self._counts["skipped"] += skipped
        return rejected

    def _is_behind(self, newest_id: bytes) -> bool:
        if not self._max_lag_us:
            return False
        ms = int(newest_id.partition(b"-")[0])
        return time.time_ns() // 1000 - ms * 1000 > self._max_lag_us


def _newest_of_each_stock(rows: list[Row]) -> list[Row]:
    newest: dict[str, Row] = {}
    for row in rows:
        newest.pop(row[1], None)  # so that the order stays that of the stream
        newest[row[1]] = row
    return list(newest.values())


def _publications(exchange: str, rows: list[Row], *, skipped: int) -> Iterator[Publication]:
    for begin in range(0, len(rows), MAX_TICKS):
        part = rows[begin : begin + MAX_TICKS]
        yield Publication(
            channel=f"prices:{exchange}",
            key=f"{part[0][0].decode()}_{part[-1][0].decode()}_{len(part)}",
            data=_DATA % (b",".join([text for _, _, text in part]), skipped if begin == 0 else 0),
        )


@lru_cache(maxsize=100_000)
def _quoted(stock_name: str) -> bytes:
    return orjson.dumps(stock_name)


def _row(entry: Entry) -> Row:
    entry_id, _, message = entry
    stock_name, price = parse_message(message)
    text = b'["%b",%b,%b,%d]' % (entry_id, _quoted(stock_name), price, received_us(entry_id))
    return entry_id, stock_name, text
