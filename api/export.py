"""PriceExport: an answer of any length, written as it is read from PostgreSQL."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.candles import average
from api.database import Busy, Connection, Database, SlowQuery
from api.formats import Format
from api.freshness import caching, etag
from api.queries import Page, close_range, next_day, page, skip
from api.ranges import AskedRange, Position, TimeRange, described, write_cursor
from api.replica import Databases, Lend, Reading
from api.requests import wants_body
from pipeline.outage import Outage

# Rows of one query: half a megabyte, of which an answer has two in memory. A page of so many isn't
# a long answer.
CHUNK = 5000
PATIENCE = 30.0  # seconds for a reader to take a chunk, and for an answer under way to get the next
CSV_HEAD = b"timestamp,exchange_name,price,id\n"


class SlowReader(Exception):
    """It would never end."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for: all of the range, without a limit."""

    stock_name: str
    asked: AskedRange
    form: Format = Format.JSON
    backwards: bool = False
    after: Position | None = None
    limit: int = sys.maxsize


@dataclass(frozen=True)
class Opened:
    """An answer that can be given: the range as it was used, and its first rows."""

    reading: Reading
    part: TimeRange
    until: Position
    first: Page
    tag: str | None


class PriceExport(Response):
    """A failure after the status breaks the connection off: what was sent must not look complete.

    Each chunk is asked for behind the last row of the one before, so no reader, however slow,
    holds a connection or a transaction. Ticks are only ever added, so none that was there is
    missed.
    """

    def __init__(self, wanted: Wanted, opened: Opened) -> None:
        self.status_code = 200
        self.background = None
        self.media_type = wanted.form.media_type
        headers = {"Cache-Control": caching(wanted.asked, datetime.now(UTC)), "Vary": "Accept"}
        self.init_headers(headers | ({"ETag": opened.tag} if opened.tag else {}))
        self._wanted = wanted
        self._opened = opened

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            if wants_body(scope):
                async with aclosing(self._pieces()) as pieces:
                    async for piece in pieces:
                        await _write(send, piece)
            await send({"type": "http.response.body", "body": b""})
        except (Outage, Busy, SlowQuery, SlowReader):
            pass  # the server breaks the connection off when an answer has no end

    async def _pieces(self) -> AsyncGenerator[bytes]:
        form = self._wanted.form
        between = b"" if form is Format.JSON else b"\n"
        yield self._head()
        left, last = self._wanted.limit, None
        async with aclosing(self._pages()) as pages:
            async for found in pages:
                if last and form is Format.JSON:
                    yield b","
                yield found.lines + between
                left, last = left - found.rows, found.last
        if form is Format.JSON:
            more = last if last and not left and await self._is_followed(last) else None
            cursor = write_cursor(more.event_id) if more else None
            yield b'],"next_cursor":%b}' % orjson.dumps(cursor)

    def _head(self) -> bytes:
        match self._wanted.form:
            case Format.CSV:
                return CSV_HEAD
            case Format.NDJSON:
                return b""
        opened = orjson.dumps(described(self._wanted.stock_name, self._opened.part))
        return opened.removesuffix(b"}") + b',"prices":['

    async def _pages(self) -> AsyncGenerator[Page]:
        """While one is written the next is read already, so neither side waits for the other."""
        found, left = self._opened.first, self._wanted.limit
        while found.last:
            left -= found.rows
            coming = asyncio.create_task(self._page(found.last, min(left, CHUNK)))
            try:
                yield found
                found = await coming
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _page(self, last: Position, limit: int) -> Page:
        if not limit:
            return Page(b"", 0, None)

        async def question(connection: Connection) -> Page:
            return await next_page(connection, self._wanted, (last, self._opened.until), limit)

        return await self._opened.reading.ask(question, _next_turn)

    async def _is_followed(self, last: Position) -> bool:
        return bool((await self._page(last, 1)).rows)


async def open_export(databases: Databases, wanted: Wanted, *, whole: bool = True) -> Opened:
    """Reads the first rows, so what fails is answered properly; raises UnknownStock.

    Without `whole`, for a HEAD, it is one row.
    """
    reading = databases.reading(wanted.asked)

    async def question(connection: Connection) -> Opened:
        part = await close_range(connection, wanted.stock_name, wanted.asked)
        begin, until = part.bounds
        if wanted.backwards:
            begin, until = until, begin
        if wanted.after:
            begin = (min if wanted.backwards else max)(begin, wanted.after)
        first = await next_page(connection, wanted, (begin, until), 1)
        tag = None
        if wanted.asked.end and wanted.asked.end <= datetime.now(UTC) and not wanted.backwards:
            # Ticks are only added, and dropped from the beginning.
            _, count = await average(connection, wanted.stock_name, part)
            tag = etag(wanted, count, first.last)
        if whole and first.last:
            limit = min(wanted.limit, CHUNK)
            first = await next_page(connection, wanted, (begin, until), limit)
        return Opened(reading, part, until, first, tag)

    first_turn: Lend = Database.connection if wanted.limit <= CHUNK else Database.for_piece
    return await reading.ask(question, first_turn)


async def next_page(
    connection: Connection, wanted: Wanted, part: tuple[Position, Position], limit: int
) -> Page:
    """The next rows between two positions, all of one day; empty only if there are no more."""
    form = (wanted.form.separator, wanted.form.value)
    after, until = part
    backwards = wanted.backwards
    while day := await next_day(connection, wanted.stock_name, after, backwards=backwards):
        begin, end = day
        end = max(end, until) if backwards else min(end, until)
        if begin == end or (begin < end) == backwards:
            break
        found = await page(connection, wanted.stock_name, (begin, end), limit, form)
        if found.rows:
            return found
        beyond = await skip(connection, wanted.stock_name, end, until)
        if beyond is None:
            break
        after = beyond
    return Page(b"", 0, None)


def _next_turn(database: Database) -> AbstractAsyncContextManager[Connection]:
    return database.for_piece(PATIENCE)


async def _write(send: Send, piece: bytes) -> None:
    """Returns when there is room for more."""
    try:
        async with asyncio.timeout(PATIENCE):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except TimeoutError:
        raise SlowReader from None
