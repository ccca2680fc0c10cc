"""The routes about prices: what the table knows."""

from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel
from starlette.responses import Response

from api import queries, shapes
from api.database import Database
from api.export import PriceExport, described
from api.neighbours import database
from api.parameters import (
    NO_PARAMETERS,
    Named,
    NamedPage,
    NamedRange,
    PageQuery,
    RangeQuery,
)
from api.problems import documented
from api.ranges import parse_range, read_cursor

router = APIRouter(
    prefix="/api",
    tags=["history"],
    responses=documented(HTTPStatus.SERVICE_UNAVAILABLE),
)

StockName = Annotated[str, Path(description="as published, case-sensitive", examples=["TSLA"])]
Data = Annotated[Database, Depends(database)]


def _answers(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Shapes for the documentation only: these bodies are written by hand, digit for digit."""
    problems = documented(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
    return {200: {"model": model}, **problems}


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


@router.get(
    "/prices/{stock_name:path}",
    summary="All prices of a stock in a range",
    responses=_answers(shapes.Prices),
)
async def prices(
    stock_name: StockName, query: Annotated[PageQuery, Query()], data: Data
) -> Response:
    """Oldest first, streamed, however many they are; in pages with `limit`.

    An answer that can't be completed is broken off: it never ends as if it were whole.
    """
    after = read_cursor(query.cursor) if query.cursor else None
    asked = parse_range(query.start_time, query.end_time)
    return PriceExport(data, stock_name, asked, after, query.limit)


@router.get(
    "/average/{stock_name:path}",
    summary="Average price of a stock in a range",
    responses=_answers(shapes.Average),
)
async def average(
    stock_name: StockName, query: Annotated[RangeQuery, Query()], data: Data
) -> Response:
    """The exact mean of all prices in the range, each counted once."""
    asked = parse_range(query.start_time, query.end_time)
    async with data.for_range() as connection:
        part = await queries.close_range(connection, stock_name, asked)
        value, count = await queries.average(connection, stock_name, part)
    fragment = orjson.Fragment(value or b"null")
    return _json(orjson.dumps({**described(stock_name, part), "average": fragment, "count": count}))


@router.get(
    "/stocks",
    summary="Newest price of every stock",
    responses={200: {"model": shapes.Stocks}, **documented(HTTPStatus.UNPROCESSABLE_ENTITY)},
    dependencies=NO_PARAMETERS,
)
async def stocks(data: Data) -> Response:
    """By name."""
    async with data.connection() as connection:
        return _json(b'{"stocks":[%b]}' % await queries.stocks(connection))


@router.get(
    "/latest/{stock_name:path}",
    summary="Newest price of a stock",
    responses=_answers(shapes.Stock),
    dependencies=NO_PARAMETERS,
)
async def latest(stock_name: StockName, data: Data) -> Response:
    """One entry of /api/stocks."""
    async with data.connection() as connection:
        return _json(await queries.latest(connection, stock_name))


# A browser takes a path's `..` for a step up, whichever way it is quoted; a query says any name.


@router.get(
    "/prices", summary="All prices, of a stock of any name", responses=_answers(shapes.Prices)
)
async def prices_by_name(query: Annotated[NamedPage, Query()], data: Data) -> Response:
    """As /api/prices/{stock_name}, which can't be asked for names such as `..`."""
    return await prices(query.stock_name, query, data)


@router.get(
    "/average", summary="Average, of a stock of any name", responses=_answers(shapes.Average)
)
async def average_by_name(query: Annotated[NamedRange, Query()], data: Data) -> Response:
    """As /api/average/{stock_name}, which can't be asked for names such as `..`."""
    return await average(query.stock_name, query, data)


@router.get(
    "/latest", summary="Newest price, of a stock of any name", responses=_answers(shapes.Stock)
)
async def latest_by_name(query: Annotated[Named, Query()], data: Data) -> Response:
    """As /api/latest/{stock_name}, which can't be asked for names such as `..`."""
    return await latest(query.stock_name, data)
