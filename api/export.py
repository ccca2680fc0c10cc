"""PriceExport: an answer of any length, written as it is read from PostgreSQL."""

import asyncio
import sys

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.database import Database, SlowQuery
from api.queries import latest, open_prices, price_json
from api.ranges import Position, TimeRange, rfc3339, write_cursor
from pipeline.outage import Outage

# Rows in hand at a time. 2,000 stream a sixth faster, but make every other request wait four times
# longer: this process does one chunk after the other.
CHUNK = 500
PATIENCE = 30.0  # seconds for a reader to take a chunk, while a transaction waits for it


class SlowReader(Exception):
    """Its connection to the database is needed for others."""


class PriceExport(Response):
    """The first rows are read before the status is sent, so what fails there is answered properly.

    A failure after that breaks the connection off: what was sent must not look complete.
    """

    media_type = "application/json"

    def __init__(
        self,
        database: Database,
        stock_name: str,
        part: TimeRange,
        after: Position | None = None,
        limit: int | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers()
        self._database = database
        self._stock_name = stock_name
        self._part = part
        self._after = max(after, part.before_start) if after else part.before_start
        self._limit = limit or sys.maxsize
        self._started = False

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await self._stream(send)
        except (Outage, SlowQuery, SlowReader):
            if not self._started:
                raise
            # The server breaks the connection off when an answer has no end.

    async def _stream(self, send: Send) -> None:
        left, last_id, piece = self._limit, None, self._head()
        async with self._database.snapshot() as connection:
            cursor = await open_prices(connection, self._stock_name, self._part.end, self._after)
            rows = await cursor.fetch(min(CHUNK, left))
            if not rows:
                await latest(connection, self._stock_name)  # or it is unknown
            await self._start(send)
            while rows:
                if last_id is not None:
                    await _write(send, piece)
                    piece = b","
                piece += price_json(rows)
                left, last_id = left - len(rows), rows[-1]["event_id"]
                rows = await cursor.fetch(min(CHUNK, left)) if left else []
            more = not left and await cursor.fetch(1)
        next_cursor = write_cursor(last_id) if more and last_id is not None else None
        tail = b'],"next_cursor":%b}' % orjson.dumps(next_cursor)
        await send({"type": "http.response.body", "body": piece + tail})

    async def _start(self, send: Send) -> None:
        self._started = True
        head = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **head})

    def _head(self) -> bytes:
        opened = orjson.dumps(described(self._stock_name, self._part))
        return opened.removesuffix(b"}") + b',"prices":['


def described(stock_name: str, part: TimeRange) -> dict[str, str | None]:
    """What every answer about a range begins with: the range that was used."""
    return {
        "stock_name": stock_name,
        "start_time": rfc3339(part.start) if part.start else None,
        "end_time": rfc3339(part.end),
        "note": part.note,
    }


async def _write(send: Send, piece: bytes) -> None:
    """Returns when there is room for more."""
    try:
        async with asyncio.timeout(PATIENCE):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except TimeoutError:
        raise SlowReader from None
