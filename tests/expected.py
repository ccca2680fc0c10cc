"""Tick: what a stream entry must become, worked out with Python's own types."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Tick(NamedTuple):
    """A price at a moment, in the column order of the table `stock_prices`."""

    timestamp: datetime
    stock_name: str
    exchange_name: str
    price: Decimal
    event_id: int


def tick_of(entry: tuple[bytes, bytes, bytes]) -> Tick:
    """Of an entry that is good: id, channel, message."""
    entry_id, channel, message = (each.decode() for each in entry)
    name, price = message.rsplit(":", 1)
    ms, sequence = map(int, entry_id.split("-"))
    received = EPOCH + timedelta(milliseconds=ms, microseconds=sequence // 1024)
    return Tick(received, name, channel, Decimal(price), ms * 2**20 + sequence)
