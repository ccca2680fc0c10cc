"""The routes about prices: what the table knows."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api import candles as candle_queries
from api import queries, shapes
from api.candle_answer import candle_answer
from api.database import Connection, Database
from api.export import PriceExport, Wanted, open_export
from api.formats import LINES, Digits, as_json, chosen
from api.freshness import caching, etag, matches
from api.neighbours import databases
from api.parameters import (
    NO_PARAMETERS,
    CandleQuery,
    Named,
    NamedCandles,
    NamedPage,
    NamedRange,
    PageQuery,
    RangeQuery,
)
from api.problems import documented
from api.ranges import AskedRange, TimeRange, described, parse_range, read_place
from api.replica import Databases
from api.requests import wants_body

router = APIRouter(
    prefix="/api",
    tags=["history"],
    responses=documented(HTTPStatus.SERVICE_UNAVAILABLE),
)

StockName = Annotated[str, Path(description="as published, case-sensitive", examples=["TSLA"])]
Data = Annotated[Databases, Depends(databases)]

_TABLES = {
    "text/csv": {"schema": {"type": "string"}},
    LINES: {"schema": {"type": "string", "description": "a JSON object a line"}},
}


def _answers(model: type[BaseModel], *, tables: bool = False) -> dict[int | str, dict[str, Any]]:
    """Shapes for the documentation only: these bodies are written by hand, digit for digit."""
    problems = documented(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
    found: dict[str, Any] = {"model": model, "description": "Found"}
    if tables:
        found["content"] = _TABLES
    return {200: found, 304: {"description": "As the ETag of If-None-Match says"}, **problems}


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _fresh(request: Request, asked: AskedRange, answer: Response, tag: str | None) -> Response:
    """The answer, or 304 for who has it already."""
    answer.headers["Cache-Control"] = caching(asked, datetime.now(UTC))
    answer.headers["Vary"] = "Accept"
    if not tag:
        return answer
    answer.headers["ETag"] = tag
    if not matches(request.headers.get("If-None-Match"), tag):
        return answer
    kept = {name: answer.headers[name] for name in ("Cache-Control", "Vary", "ETag")}
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=kept)


def _tag(asked: AskedRange, body: bytes) -> str | None:
    return etag(body) if asked.end and asked.end <= datetime.now(UTC) else None


@router.get(
    "/prices/{stock_name:path}",
    summary="All prices of a stock in a range",
    responses=_answers(shapes.Prices, tables=True),
)
async def prices(
    stock_name: StockName, query: Annotated[PageQuery, Query()], data: Data, request: Request
) -> Response:
    """Oldest first, streamed, however many they are; in pages with `limit`.

    An answer that can't be completed is broken off: it never ends as if it were whole.
    """
    asked = parse_range(query.start_time, query.end_time)
    wanted = Wanted(
        stock_name,
        asked,
        chosen(query.format, request.headers.get("Accept")),
        backwards=query.order == "desc",
        after=read_place(query.cursor) if query.cursor else None,
        limit=query.limit or Wanted.limit,
    )
    opened = await open_export(data, wanted, whole=wants_body(request.scope))
    return _fresh(request, asked, PriceExport(wanted, opened), opened.tag)


@router.get(
    "/average/{stock_name:path}",
    summary="Average price of a stock in a range",
    responses=_answers(shapes.Average),
)
async def average(
    stock_name: StockName, query: Annotated[RangeQuery, Query()], data: Data, request: Request
) -> Response:
    """The exact mean of all prices in the range, each counted once.

    Of days whose prices are no longer kept it counts whole minutes.
    """
    asked = parse_range(query.start_time, query.end_time)

    async def question(connection: Connection) -> tuple[TimeRange, str | None, int]:
        part = await queries.close_range(connection, stock_name, asked)
        return part, *await candle_queries.average(connection, stock_name, part)

    part, value, count = await data.reading(asked).ask(question, Database.for_range)
    exact = value and Digits(value)
    body = as_json({**described(stock_name, part), "average": exact, "count": count})
    return _fresh(request, asked, _json(body), _tag(asked, body))


@router.get(
    "/candles/{stock_name:path}",
    summary="Open, high, low and close of a stock in a range",
    responses=_answers(shapes.Candles, tables=True),
)
async def candles(
    stock_name: StockName, query: Annotated[CandleQuery, Query()], data: Data, request: Request
) -> Response:
    """Candles that begin in the range, oldest first; also of days whose prices are gone."""
    asked = parse_range(query.start_time, query.end_time)
    form = chosen(query.format, request.headers.get("Accept"))
    body = await candle_answer(data, stock_name, asked, query, form)
    answer = Response(body, media_type=form.media_type)
    return _fresh(request, asked, answer, _tag(asked, body))


@router.get(
    "/stocks",
    summary="Newest price of every stock",
    responses={200: {"model": shapes.Stocks}, **documented(HTTPStatus.UNPROCESSABLE_ENTITY)},
    dependencies=NO_PARAMETERS,
)
async def stocks(data: Data) -> Response:
    """By name."""
    async with data.primary.connection() as connection:
        return _json(b'{"stocks":[%b]}' % await queries.stocks(connection))


@router.get(
    "/latest/{stock_name:path}",
    summary="Newest price of a stock",
    responses=_answers(shapes.Stock),
    dependencies=NO_PARAMETERS,
)
async def latest(stock_name: StockName, data: Data) -> Response:
    """One entry of /api/stocks."""
    async with data.primary.connection() as connection:
        return _json(await queries.latest(connection, stock_name))


# A browser takes a path's `..` for a step up, whichever way it is quoted; a query says any name.


@router.get(
    "/prices",
    summary="All prices, of a stock of any name",
    responses=_answers(shapes.Prices, tables=True),
)
async def prices_by_name(
    query: Annotated[NamedPage, Query()], data: Data, request: Request
) -> Response:
    """As /api/prices/{stock_name}, which can't be asked for names such as `..`."""
    return await prices(query.stock_name, query, data, request)


@router.get(
    "/average", summary="Average, of a stock of any name", responses=_answers(shapes.Average)
)
async def average_by_name(
    query: Annotated[NamedRange, Query()], data: Data, request: Request
) -> Response:
    """As /api/average/{stock_name}, which can't be asked for names such as `..`."""
    return await average(query.stock_name, query, data, request)


@router.get(
    "/candles",
    summary="Candles, of a stock of any name",
    responses=_answers(shapes.Candles, tables=True),
)
async def candles_by_name(
    query: Annotated[NamedCandles, Query()], data: Data, request: Request
) -> Response:
    """As /api/candles/{stock_name}, which can't be asked for names such as `..`."""
    return await candles(query.stock_name, query, data, request)


@router.get(
    "/latest", summary="Newest price, of a stock of any name", responses=_answers(shapes.Stock)
)
async def latest_by_name(query: Annotated[Named, Query()], data: Data) -> Response:
    """As /api/latest/{stock_name}, which can't be asked for names such as `..`."""
    return await latest(query.stock_name, data)
