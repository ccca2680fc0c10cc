"""The SQL of the api about ticks: one day's partition at a time, by the one index."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from api.database import ANSWER, Connection, Row
from api.ranges import BEGINNING, MICROSECOND, AskedRange, Position, TimeRange, rfc3339
from pipeline.tick import SEQUENCE_BITS

# The times are there for the planner, who leaves out partitions by them; the pairs find the place
# in the index at once. Lines come as one text: PostgreSQL writes them in a quarter of the time.
PRICES = """
SELECT string_agg(line, $7) AS lines, count(*) AS count,
       max(timestamp) AS timestamp, max(event_id) AS event_id
FROM (
  SELECT timestamp, event_id, price_line($8, timestamp, exchange_name, price, event_id) AS line
  FROM stock_prices
  WHERE stock_name = $1
    AND timestamp >= $2 AND (timestamp, event_id) > ($2, $3)
    AND timestamp <= $4 AND (timestamp, event_id) <= ($4, $5)
  ORDER BY timestamp, event_id
  LIMIT $6
) AS page
"""

PRICES_BACKWARDS = """
SELECT string_agg(line, $7) AS lines, count(*) AS count,
       min(timestamp) AS timestamp, min(event_id) AS event_id
FROM (
  SELECT timestamp, event_id, price_line($8, timestamp, exchange_name, price, event_id) AS line
  FROM stock_prices
  WHERE stock_name = $1
    AND timestamp <= $2 AND (timestamp, event_id) < ($2, $3)
    AND timestamp >= $4 AND (timestamp, event_id) > ($4, $5)
  ORDER BY timestamp DESC, event_id DESC
  LIMIT $6
) AS page
"""

# Where there is something next. An hour's candle stays when its day is dropped: a few looks more.
NEXT_HOUR = """
SELECT start FROM candles
WHERE stock_name = $1 AND minutes = 60 AND start >= date_bin('1 hour', $2::timestamptz, 'epoch')
ORDER BY start
LIMIT 1
"""

HOUR_BEFORE = """
SELECT start FROM candles
WHERE stock_name = $1 AND minutes = 60 AND start < $2
ORDER BY start DESC
LIMIT 1
"""

# Over all days, so for once: behind days of which only candles are left.
NEXT_TICK = """
SELECT timestamp FROM stock_prices
WHERE stock_name = $1 AND timestamp >= $2 AND timestamp < $3
ORDER BY timestamp, event_id
LIMIT 1
"""

TICK_BEFORE = """
SELECT timestamp FROM stock_prices
WHERE stock_name = $1 AND timestamp < $2 AND timestamp >= $3
ORDER BY timestamp DESC, event_id DESC
LIMIT 1
"""

NEWEST = """
SELECT last_at, last_id FROM candles
WHERE stock_name = $1 AND minutes = 1
ORDER BY start DESC
LIMIT 1
"""

NEWEST_OF_ALL = """
SELECT stock.name, newest.last_at, newest.last_id
FROM stock_names() AS stock (name) CROSS JOIN LATERAL (
  SELECT last_at, last_id FROM candles
  WHERE stock_name = stock.name AND minutes = 1
  ORDER BY start DESC
  LIMIT 1
) AS newest
"""

TICKS = """
SELECT tick.*
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS one (name, at, id) CROSS JOIN LATERAL (
  SELECT stock_name, exchange_name, price::text, timestamp, event_id FROM stock_prices
  WHERE stock_name = one.name AND timestamp = one.at AND event_id = one.id
    AND timestamp >= $4 AND timestamp <= $5
  LIMIT 1
) AS tick
"""

# Every column by name, and rows if there are any. One day will do.
CHECK = """
SELECT stock_name, exchange_name, price, timestamp, event_id, last_at
FROM stock_prices LEFT JOIN candles USING (stock_name)
WHERE timestamp = $1
LIMIT 1
"""


class UnknownStock(Exception):
    """Nobody has ever seen a tick of this name."""


class Page(NamedTuple):
    """Some lines, and where the last of them is; None: there are none."""

    lines: bytes
    rows: int
    last: Position | None


async def close_range(connection: Connection, stock_name: str, asked: AskedRange) -> TimeRange:
    """What a range without an end takes in now; raises UnknownStock."""
    newest = await _newest(connection, stock_name)
    return asked.closed(datetime.now(UTC), newest["last_at"])


async def page(
    connection: Connection,
    stock_name: str,
    part: tuple[Position, Position],
    limit: int,
    form: tuple[str, str],
) -> Page:
    """The first ticks after a position, up to another; backwards if that is the earlier one.

    Form: what to write between two lines, and json or csv.
    """
    after, until = part
    sql = PRICES if after < until else PRICES_BACKWARDS
    row = await connection.fetchrow(sql, stock_name, *after, *until, limit, *form)
    assert row  # noqa: S101  # an aggregate without GROUP BY has always one
    last = Position(row["timestamp"], row["event_id"]) if row["count"] else None
    return Page((row["lines"] or "").encode(), row["count"], last)


async def next_day(
    connection: Connection, stock_name: str, after: Position, *, backwards: bool
) -> tuple[Position, Position] | None:
    """The next day with ticks after a position, as what page() takes; None: there is none."""
    if backwards:  # of the same microsecond there may be more, if `after` is a tick
        before = after.timestamp if after.event_id < 0 else after.timestamp + MICROSECOND
        hour = await connection.fetchval(HOUR_BEFORE, stock_name, before)
    else:
        hour = await connection.fetchval(NEXT_HOUR, stock_name, after.timestamp)
    if hour is None:
        return None
    midnight = hour.replace(hour=0)
    begin, end = Position(midnight, -1), Position(midnight + timedelta(days=1), -1)
    return (min(after, end), begin) if backwards else (max(after, begin), end)


async def skip(
    connection: Connection, stock_name: str, after: Position, until: Position
) -> Position | None:
    """Just before the next tick between two positions without a tick of their own; or None."""
    backwards = until < after
    sql = TICK_BEFORE if backwards else NEXT_TICK
    at = await connection.fetchval(sql, stock_name, after.timestamp, until.timestamp)
    if at is None:
        return None
    return Position(at + MICROSECOND if backwards else at, -1)


async def latest(connection: Connection, stock_name: str) -> bytes:
    """The stock's newest tick as JSON; raises UnknownStock."""
    newest = await _newest(connection, stock_name)
    found = await _ticks(connection, [(stock_name, *newest)])
    if not found:  # its day was dropped
        raise UnknownStock(stock_name)
    return found[0]


async def stocks(connection: Connection) -> bytes:
    """The newest tick of every stock, in the order of their names."""
    return b",".join(await _ticks(connection, await connection.fetch(NEWEST_OF_ALL)))


async def last_row(connection: Connection) -> str | None:
    """When the newest tick of all was received."""
    await check(connection)
    rows = await connection.fetch(NEWEST_OF_ALL, timeout=ANSWER)
    return rfc3339(max(row["last_at"] for row in rows)) if rows else None


async def check(connection: Connection) -> None:
    """Can the tables be asked at all?"""
    await connection.fetchrow(CHECK, BEGINNING, timeout=ANSWER)


def entry_id(event_id: int) -> str:
    """As Redis writes it; the packed number is too large for the numbers of JavaScript."""
    return f"{event_id >> SEQUENCE_BITS}-{event_id & ~(-1 << SEQUENCE_BITS)}"


async def _newest(connection: Connection, stock_name: str) -> Row:
    # PostgreSQL's text can't hold a NUL: it would refuse the question itself.
    row = None if "\0" in stock_name else await connection.fetchrow(NEWEST, stock_name)
    if not row:
        raise UnknownStock(stock_name)
    return row


async def _ticks(connection: Connection, wanted: Sequence[Iterable[Any]]) -> list[bytes]:
    """By name, time and id; as JSON, in the order of the names."""
    if not wanted:
        return []
    names, times, ids = (list(column) for column in zip(*wanted, strict=True))
    rows = await connection.fetch(TICKS, names, times, ids, min(times), max(times))
    return [_stock_json(row) for row in rows]


def _stock_json(row: Row) -> bytes:
    return orjson.dumps(
        {
            "stock_name": row["stock_name"],
            "exchange_name": row["exchange_name"],
            "price": orjson.Fragment(row["price"]),
            "timestamp": rfc3339(row["timestamp"]),
            "id": entry_id(row["event_id"]),
        }
    )
