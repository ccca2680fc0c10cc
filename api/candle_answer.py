"""candle_answer(): a page of candles in the format that was asked for."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from api.candles import candles
from api.database import Connection, Database, Row
from api.formats import Digits, Format, as_csv, as_json
from api.parameters import CandleQuery
from api.queries import close_range
from api.ranges import (
    EPOCH,
    AskedRange,
    InvalidParameters,
    TimeRange,
    described,
    read_cursor,
    rfc3339,
    write_cursor,
)
from api.replica import Databases

PRICES = ("open", "high", "low", "close", "average")


async def candle_answer(
    databases: Databases, stock_name: str, asked: AskedRange, query: CandleQuery, form: Format
) -> bytes:
    """Raises UnknownStock, InvalidParameters."""
    after = _place(query.cursor) if query.cursor else None

    async def question(connection: Connection) -> tuple[TimeRange, list[Row], datetime | None]:
        part = await close_range(connection, stock_name, asked)
        rest = TimeRange(max(after, part.start or after), part.end) if after else part
        found = await candles(connection, stock_name, rest, query.interval, query.limit)
        return part, *found

    part, rows, following = await databases.reading(asked).ask(question, Database.for_range)
    shown = [dict(_fields(row)) for row in rows]
    match form:
        case Format.CSV:
            return ",".join(("start_time", *PRICES, "count")).encode() + b"\n" + as_csv(shown)
        case Format.NDJSON:
            return b"".join(as_json(each) + b"\n" for each in shown)
    cursor = write_cursor(int((following - EPOCH).total_seconds())) if following else None
    more = {"interval": query.interval, "candles": shown, "next_cursor": cursor}
    return as_json(described(stock_name, part) | more)


def _fields(row: Row) -> Iterator[tuple[str, object]]:
    yield "start_time", rfc3339(row["start"])
    for name in PRICES:
        yield name, Digits(row[name])
    yield "count", row["count"]


def _place(cursor: str) -> datetime:
    try:
        return EPOCH + timedelta(seconds=read_cursor(cursor))
    except OverflowError:
        raise InvalidParameters({"cursor": "is not a cursor that this api gave"}) from None
