"""The routes about the system: how it is, and how to ask it."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, TypeVar

import asyncpg
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api import queries, shapes
from api.database import Busy, Connection, SlowQuery
from api.neighbours import Neighbours, neighbours
from api.parameters import NO_PARAMETERS
from api.problems import documented, unavailable
from api.status import Streams, check_redis, read_status
from api.watch import Unusable
from pipeline.outage import Outage

router = APIRouter(
    prefix="/api",
    tags=["operations"],
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY),
    dependencies=NO_PARAMETERS,
)

Around = Annotated[Neighbours, Depends(neighbours)]
T = TypeVar("T")

_NOT_READY = {
    "away": "PostgreSQL is away; this service asks it again with every request.",
    "unusable": "PostgreSQL answers, but its table of prices can't be read; the log says why.",
}

# nginx serves what it names; nothing is inline, so the strictest content policy will do.
_DOCS = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API documentation</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/vendor/swagger-ui.css">
</head>
<body>
<noscript>This page needs JavaScript; <a href="/api/openapi.json">its source</a> doesn't.</noscript>
<div id="swagger-ui"></div>
<script src="/vendor/swagger-ui-bundle.js"></script>
<script src="/docs.js"></script>
</body>
</html>
"""


@router.get(
    "/status",
    summary="Where the stream, its readers and the table are",
    response_model_exclude_unset=True,  # without a replica there is nothing to say of one
)
async def status(around: Around) -> shapes.Status:
    """Always 200: what can't be known now is null, and `redis` or `postgres` says why."""
    (redis, told), (postgres, last_row) = await asyncio.gather(
        _of_redis(around, read_status),
        _of_postgres(around, queries.last_row),
    )
    answer = shapes.Status(
        redis=redis,
        postgres=postgres,
        groups=told.groups if told else None,
        stream=told.stream if told else None,
        last_row=last_row,
        bridge_gaps=told.bridge_gaps if told else None,
        dead_letters=told.dead_letters if told else None,
        overrun=told.overrun if told else None,
    )
    if replica := around.databases.replica:
        lag = None if replica.state == "away" else round(replica.lag, 3)
        answer.replica = shapes.Replica(state=replica.state, lag_seconds=lag)
    return answer


@router.get("/health", summary="Is the process alive?")
async def health() -> shapes.Alive:
    """Asks nobody else: restarting the api mends nothing that is wrong elsewhere."""
    return shapes.Alive()


@router.get(
    "/health/ready",
    summary="Can it answer?",
    response_model=shapes.Ready,
    responses=documented(HTTPStatus.SERVICE_UNAVAILABLE),
)
async def ready(request: Request, around: Around) -> shapes.Ready | Response:
    """503 while the table of prices can't be read; without Redis only the status is poorer."""
    (postgres, _), (redis, _) = await asyncio.gather(
        _of_postgres(around, queries.check), _of_redis(around, check_redis)
    )
    if detail := _NOT_READY.get(postgres):
        return unavailable(request, "Not ready", detail, postgres=postgres, redis=redis)
    return shapes.Ready(postgres=postgres, redis=redis)


@router.get("/docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    return HTMLResponse(_DOCS)


async def _of_redis(
    around: Neighbours, ask: Callable[[Streams], Awaitable[T]]
) -> tuple[shapes.Neighbour, T | None]:
    try:
        with around.redis_watch.noticing():
            return "ok", await ask(around.streams)
    except Outage as outage:
        return _state(outage), None


async def _of_postgres(
    around: Neighbours, ask: Callable[[Connection], Awaitable[T]]
) -> tuple[shapes.Neighbour, T | None]:
    try:
        async with around.databases.primary.connection() as connection:
            try:
                return "ok", await ask(connection)
            except TimeoutError:  # to this question only: the server has just answered another
                return "busy", None
            except asyncpg.SyntaxOrAccessError as error:
                raise Unusable("postgres", str(error)) from error
    except Outage as outage:
        return _state(outage), None
    except (Busy, SlowQuery):
        return "busy", None


def _state(outage: Outage) -> shapes.Neighbour:
    return "unusable" if isinstance(outage, Unusable) else "away"
