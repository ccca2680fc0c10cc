"""The SQL of the api, each query on the one index, and the JSON that its rows become."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from api.database import ANSWER, Connection, Row
from api.ranges import BEGINNING, AskedRange, Position, TimeRange, rfc3339
from pipeline.tick import SEQUENCE_BITS

# A row comparison, as the index has it: it finds its place at once, wherever a page begins.
PRICES = """
SELECT timestamp, exchange_name, price::text, event_id
FROM stock_prices
WHERE stock_name = $1 AND (timestamp, event_id) > ($2::timestamptz, $3::bigint) AND timestamp < $4
ORDER BY timestamp, event_id
LIMIT $5
"""

AVERAGE = """
SELECT avg(price)::text AS average, count(*) AS count
FROM stock_prices
WHERE stock_name = $1 AND timestamp >= $2 AND timestamp < $3
"""

LATEST = """
SELECT stock_name, exchange_name, price::text, timestamp, event_id
FROM stock_prices
WHERE stock_name = $1
ORDER BY timestamp DESC, event_id DESC
LIMIT 1
"""

# A loose index scan: from each stock's newest tick one step to the next stock's, over all the
# ticks between them. DISTINCT ON would read the whole table.
STOCKS = """
WITH RECURSIVE newest AS (
  (SELECT stock_name, exchange_name, price, timestamp, event_id
   FROM stock_prices
   ORDER BY stock_name, timestamp DESC, event_id DESC
   LIMIT 1)
  UNION ALL
  SELECT following.*
  FROM newest CROSS JOIN LATERAL (
    SELECT stock_name, exchange_name, price, timestamp, event_id
    FROM stock_prices
    WHERE stock_name > newest.stock_name
    ORDER BY stock_name, timestamp DESC, event_id DESC
    LIMIT 1
  ) AS following
)
SELECT stock_name, exchange_name, price::text, timestamp, event_id
FROM newest
"""

# The same walk; no index has the time first.
LAST_ROW = """
WITH RECURSIVE newest AS (
  (SELECT stock_name, timestamp
   FROM stock_prices
   ORDER BY stock_name, timestamp DESC, event_id DESC
   LIMIT 1)
  UNION ALL
  SELECT following.*
  FROM newest CROSS JOIN LATERAL (
    SELECT stock_name, timestamp
    FROM stock_prices
    WHERE stock_name > newest.stock_name
    ORDER BY stock_name, timestamp DESC, event_id DESC
    LIMIT 1
  ) AS following
)
SELECT max(timestamp)
FROM newest
"""

# Every column by name, and a row if there is one.
CHECK = """
SELECT stock_name, exchange_name, price, timestamp, event_id
FROM stock_prices
LIMIT 1
"""


class UnknownStock(Exception):
    """Nobody has ever seen a tick of this name."""


class Average(NamedTuple):
    """As PostgreSQL writes it, with every digit; None of no ticks."""

    average: str | None
    ticks: int


async def close_range(connection: Connection, stock_name: str, asked: AskedRange) -> TimeRange:
    """What a range without an end takes in now; raises UnknownStock."""
    newest = await _newest(connection, stock_name)
    return asked.closed(datetime.now(UTC), newest["timestamp"])


async def prices(
    connection: Connection, stock_name: str, end: datetime, after: Position, limit: int
) -> list[Row]:
    """The first ticks that come after a position and before a time, oldest first."""
    return await connection.fetch(PRICES, stock_name, *after, end, limit)


async def average(connection: Connection, stock_name: str, part: TimeRange) -> Average:
    """Exact: PostgreSQL's own arithmetic on numeric."""
    start = part.start or BEGINNING
    row = await connection.fetchrow(AVERAGE, stock_name, start, part.end)
    assert row  # noqa: S101  # an aggregate without GROUP BY has always one
    return Average(row["average"], row["count"])


async def latest(connection: Connection, stock_name: str) -> bytes:
    """The stock's newest tick as JSON; raises UnknownStock."""
    return _stock_json(await _newest(connection, stock_name))


async def stocks(connection: Connection) -> bytes:
    """The newest tick of every stock, in the order of their names."""
    return b",".join(_stock_json(row) for row in await connection.fetch(STOCKS))


async def last_row(connection: Connection) -> str | None:
    """When the newest tick of all was received."""
    at = await connection.fetchval(LAST_ROW, timeout=ANSWER)
    return rfc3339(at) if at else None


async def check(connection: Connection) -> None:
    """Can the table be asked at all?"""
    await connection.fetchrow(CHECK, timeout=ANSWER)


def price_json(rows: Iterable[Row]) -> bytes:
    """Rows of `open_prices`, comma between them. By hand: a price has more digits than a float."""
    names: dict[str, str] = {}
    parts = []
    for timestamp, exchange_name, price, event_id in rows:
        exchange = names.get(exchange_name)
        if exchange is None:
            exchange = names[exchange_name] = orjson.dumps(exchange_name).decode()
        parts.append(
            f'{{"timestamp":"{rfc3339(timestamp)}","exchange_name":{exchange},'
            f'"price":{price},"id":"{entry_id(event_id)}"}}'
        )
    return ",".join(parts).encode()


def entry_id(event_id: int) -> str:
    """As Redis writes it; the packed number is too large for the numbers of JavaScript."""
    return f"{event_id >> SEQUENCE_BITS}-{event_id & ~(-1 << SEQUENCE_BITS)}"


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


async def _newest(connection: Connection, stock_name: str) -> Row:
    # PostgreSQL's text can't hold a NUL: it would refuse the question itself.
    row = None if "\0" in stock_name else await connection.fetchrow(LATEST, stock_name)
    if not row:
        raise UnknownStock(stock_name)
    return row
