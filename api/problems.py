"""Problems: every error as application/problem+json (RFC 9457), in words made here alone."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.database import Busy, SlowQuery
from api.queries import UnknownStock
from api.ranges import InvalidParameters
from pipeline.outage import Outage

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "2"  # seconds; a neighbour that is restarted is back about then

SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "description": "about:blank, or what the title says, for code"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what went wrong with this request"},
        "instance": {"type": "string", "description": "path of the request"},
        "errors": {
            "type": "array",
            "description": "422 only: one entry for each parameter that is wrong",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer so."""
    content = {MEDIA_TYPE: {"schema": SCHEMA}}
    return {int(each): {"description": each.phrase, "content": content} for each in statuses}


def problem(
    request: Request,
    status: HTTPStatus,
    detail: str,
    *,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> Response:
    """`kind` names what went wrong more exactly than the status does."""
    body = {
        "type": f"urn:problem:{kind.lower().replace(' ', '-')}" if kind else "about:blank",
        "title": kind or status.phrase,
        "status": status,
        "detail": detail,
        "instance": quote(request.scope["path"]),
        **more,
    }
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


def unavailable(request: Request, kind: str, detail: str, **more: object) -> Response:
    """503: the same request may do better soon."""
    headers = {"Retry-After": RETRY_AFTER}
    return problem(
        request, HTTPStatus.SERVICE_UNAVAILABLE, detail, kind=kind, headers=headers, **more
    )


def answer_problems(app: FastAPI) -> None:
    """All that may be raised while a request is handled becomes a problem."""
    app.add_exception_handler(UnknownStock, _unknown_stock)
    app.add_exception_handler(InvalidParameters, _invalid_parameters)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(Outage, _outage)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(SlowQuery, _slow_query)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _bug)


async def _unknown_stock(request: Request, _: Exception) -> Response:
    detail = "There has never been a price for a stock of this name; names are case-sensitive."
    return problem(request, HTTPStatus.NOT_FOUND, detail, kind="Unknown stock")


async def _invalid_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidParameters)  # noqa: S101  # registered for nothing else
    return _invalid(request, list(error.faults.items()))


async def _invalid_request(request: Request, error: Exception) -> Response:
    """FastAPI's own checks; its loc ends with the name of the parameter."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for nothing else
    return _invalid(request, [(str(each["loc"][-1]), each["msg"]) for each in error.errors()])


def _invalid(request: Request, faults: Sequence[tuple[str, str]]) -> Response:
    return problem(
        request,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "; ".join(f"{field}: {message}" for field, message in faults),
        kind="Invalid parameters",
        errors=[{"field": field, "message": message} for field, message in faults],
    )


async def _outage(request: Request, _: Exception) -> Response:
    return unavailable(request, "Database away", "The database can't be reached now; try again.")


async def _busy(request: Request, _: Exception) -> Response:
    return unavailable(request, "Busy", "Too many requests are being answered now; try again.")


async def _slow_query(request: Request, _: Exception) -> Response:
    detail = "The query took too long; ask for a shorter range, or try again."
    return unavailable(request, "Query too slow", detail)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for nothing else
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: "There is nothing at this address; /api/docs lists what there is.",
        HTTPStatus.METHOD_NOT_ALLOWED: "This address doesn't take this method, only GET and HEAD.",
    }
    detail = details.get(status, "The request can't be answered.")
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] += ", HEAD"  # which no route knows of: api.requests turns it into GET
    return problem(request, status, detail, headers=headers)


async def _bug(request: Request, _: Exception) -> Response:
    """The traceback is in the log: the server re-raises it there."""
    detail = "Something went wrong here; it has been logged."
    return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail)
