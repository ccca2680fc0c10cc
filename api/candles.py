"""Candles and averages: whole hours and minutes from `candles`, only the edges from the ticks."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from api.database import Connection, Row
from api.ranges import BEGINNING, EPOCH, TimeRange

WIDTHS = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
MINUTE, HOUR = WIDTHS["1m"], WIDTHS["1h"]
LAST_DAY = datetime.max.replace(tzinfo=EPOCH.tzinfo) - timedelta(days=1)

# The six times rise: ticks, minutes, hours, minutes, ticks. Sums keep every digit, so this is what
# avg() over the ticks would be.
AVERAGE = """
SELECT (sum(sum) / nullif(sum(count), 0))::text AS average, coalesce(sum(count), 0)::bigint AS count
FROM (
  SELECT sum(price) AS sum, count(*) AS count FROM stock_prices
  WHERE stock_name = $1 AND timestamp >= $2 AND timestamp < $3
  UNION ALL
  SELECT sum(sum), sum(count) FROM candles
  WHERE stock_name = $1 AND minutes = 1 AND start >= $3 AND start < $4
  UNION ALL
  SELECT sum(sum), sum(count) FROM candles
  WHERE stock_name = $1 AND minutes = 60 AND start >= $4 AND start < $5
  UNION ALL
  SELECT sum(sum), sum(count) FROM candles
  WHERE stock_name = $1 AND minutes = 1 AND start >= $5 AND start < $6
  UNION ALL
  SELECT sum(price), count(*) FROM stock_prices
  WHERE stock_name = $1 AND timestamp >= $6 AND timestamp < $7
) AS part
"""

CANDLES = """
SELECT date_bin($3, start, 'epoch') AS start, (array_agg(open ORDER BY start))[1]::text AS open,
       max(high)::text AS high, min(low)::text AS low,
       (array_agg(close ORDER BY start DESC))[1]::text AS close,
       (sum(sum) / sum(count))::text AS average, sum(count)::bigint AS count
FROM candles
WHERE stock_name = $1 AND minutes = $2 AND start >= $4 AND start < $5
GROUP BY date_bin($3, start, 'epoch')
ORDER BY 1
"""

FIRST = """
SELECT start FROM candles
WHERE stock_name = $1 AND minutes = $2 AND start >= $3 AND start < $4
ORDER BY start
LIMIT 1
"""


async def average(
    connection: Connection, stock_name: str, part: TimeRange
) -> tuple[str | None, int]:
    """With every digit of PostgreSQL's avg(), None of no ticks; and how many there are."""
    row = await connection.fetchrow(AVERAGE, stock_name, *edges(part.start or BEGINNING, part.end))
    assert row  # noqa: S101  # an aggregate without GROUP BY has always one
    return row["average"], row["count"]


async def candles(
    connection: Connection, stock_name: str, part: TimeRange, interval: str, limit: int
) -> tuple[list[Row], datetime | None]:
    """Those that begin in the range, oldest first; and where to go on, if there are more.

    At most `limit` of them, over as many intervals: a time without ticks ends a page early.
    """
    width = WIDTHS[interval]
    kept = width if width in (MINUTE, HOUR) else (HOUR if width > HOUR else MINUTE)
    minutes = kept // MINUTE
    begin, end = up(part.start or BEGINNING, width), up(part.end, width)
    first = await connection.fetchval(FIRST, stock_name, minutes, begin, end)
    if first is None:
        return [], None
    stop = min(end, down(first, width) + limit * width)
    rows = await connection.fetch(CANDLES, stock_name, minutes, width, first, stop)
    following = await connection.fetchval(FIRST, stock_name, minutes, stop, end)
    return rows, down(following, width) if following else None


def edges(start: datetime, end: datetime) -> Iterator[datetime]:
    """Six times that rise: between them ticks, minutes, hours, minutes, ticks make up the range."""
    first_minute, last_minute = up(start, MINUTE), down(end, MINUTE)
    if first_minute >= last_minute:
        return iter((start, end, end, end, end, end))
    first_hour, last_hour = up(start, HOUR), down(end, HOUR)
    if first_hour >= last_hour:
        first_hour = last_hour = last_minute
    return iter((start, first_minute, first_hour, last_hour, last_minute, end))


def down(at: datetime, width: timedelta) -> datetime:
    """The last multiple of a width since 1970 (UTC) that isn't later."""
    return at - (at - EPOCH) % width if at > BEGINNING + width else BEGINNING


def up(at: datetime, width: timedelta) -> datetime:
    """The first one that isn't earlier."""
    if at <= BEGINNING:
        return BEGINNING
    rest = (EPOCH - at) % width
    return at + rest if at < LAST_DAY else at
