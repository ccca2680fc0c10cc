"""PriceExport: an answer of any length, written as it is read from PostgreSQL."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.database import Busy, Connection, Database, SlowQuery
from api.queries import close_range, price_json, prices
from api.ranges import AskedRange, Position, TimeRange, rfc3339, write_cursor
from api.requests import wants_body
from pipeline.outage import Outage

# Rows of one query; a page of so many isn't a long answer. With 500 a long one takes a sixth more
# time, with more all other requests wait longer: this process does one chunk after the other.
CHUNK = 1000
PATIENCE = 30.0  # seconds for a reader to take a chunk, and for an answer under way to get the next


class SlowReader(Exception):
    """It would never end."""


class PriceExport(Response):
    """The first rows are read before the status is sent, so what fails there is answered properly.

    A failure after that breaks the connection off: what was sent must not look complete. Each
    chunk is asked for behind the last row of the one before, so no reader, however slow, holds a
    connection or a transaction. Ticks are only ever added, so none that was there is missed.
    """

    media_type = "application/json"

    def __init__(
        self,
        database: Database,
        stock_name: str,
        asked: AskedRange,
        after: Position | None = None,
        limit: int | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers()
        self._database = database
        self._stock_name = stock_name
        self._asked = asked
        self._after = max(after, asked.before_start) if after else asked.before_start
        self._limit = limit or sys.maxsize
        self._started = False

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            if wants_body(scope):
                await self._stream(send)
            else:
                await self._only_head(send)
        except (Outage, Busy, SlowQuery, SlowReader):
            if not self._started:
                raise
            # The server breaks the connection off when an answer has no end.

    async def _only_head(self, send: Send) -> None:
        async with self._database.connection() as connection:
            await close_range(connection, self._stock_name, self._asked)
        await self._start(send)
        await send({"type": "http.response.body", "body": b""})

    async def _stream(self, send: Send) -> None:
        async for piece in self._pieces():
            if not self._started:
                await self._start(send)
            await _write(send, piece)
        await send({"type": "http.response.body", "body": b""})

    async def _pieces(self) -> AsyncIterator[bytes]:
        left, size = self._limit, _size(self._limit)
        async with self._first_turn() as connection:
            part = await close_range(connection, self._stock_name, self._asked)
            rows = await prices(connection, self._stock_name, part.end, self._after, size)
        yield self._head(part) + price_json(rows[:left])
        while len(rows) == size <= left:
            left -= size
            size = _size(left)
            after = Position(rows[-1]["timestamp"], rows[-1]["event_id"])
            async with self._database.for_piece(PATIENCE) as connection:
                rows = await prices(connection, self._stock_name, part.end, after, size)
            if rows:
                yield b"," + price_json(rows[:left])
        next_cursor = write_cursor(rows[left - 1]["event_id"]) if len(rows) > left else None
        yield b'],"next_cursor":%b}' % orjson.dumps(next_cursor)

    def _first_turn(self) -> AbstractAsyncContextManager[Connection]:
        return self._database.connection() if self._limit <= CHUNK else self._database.for_piece()

    async def _start(self, send: Send) -> None:
        self._started = True
        head = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **head})

    def _head(self, part: TimeRange) -> bytes:
        opened = orjson.dumps(described(self._stock_name, part))
        return opened.removesuffix(b"}") + b',"prices":['


def described(stock_name: str, part: TimeRange) -> dict[str, str | None]:
    """What every answer about a range begins with: the range that was used."""
    return {
        "stock_name": stock_name,
        "start_time": rfc3339(part.start) if part.start else None,
        "end_time": rfc3339(part.end),
        "note": part.note,
    }


def _size(left: int) -> int:
    """Rows to ask for. The last of them, where it ends a page, only says that there is a next."""
    return left + 1 if left <= CHUNK else CHUNK


async def _write(send: Send, piece: bytes) -> None:
    """Returns when there is room for more."""
    try:
        async with asyncio.timeout(PATIENCE):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except TimeoutError:
        raise SlowReader from None
