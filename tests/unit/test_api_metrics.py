"""api.metrics: which requests are told apart, and that nobody can invent more."""

import asyncio
from contextlib import suppress

import pytest
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.metrics import RequestMetrics
from tests.metrics import metric, metrics_of


class BrokenOff(Response):
    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})


@pytest.fixture
def app() -> RequestMetrics:
    app = FastAPI(openapi_url=None)

    @app.get("/prices/{name:path}")
    async def prices(name: str) -> Response:
        match name:
            case "broken-off":
                return BrokenOff()
            case "bug":
                raise ZeroDivisionError
            case "slow":
                await asyncio.Event().wait()
        return Response(name)

    return RequestMetrics(app)


async def request(app: RequestMetrics, path: str, method: str = "GET") -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Message) -> None:
        pass

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    await app(scope, receive, send)


async def counted(app: RequestMetrics, *paths: str, method: str = "GET") -> dict[object, float]:
    for path in paths:
        await request(app, path, method)
    return {
        tuple(dict(labels)[name] for name in ("route", "method", "status")): value
        for (name, labels), value in metrics_of(app.read()).items()
        if name == "requests"
    }


async def test_requests_are_counted_by_the_route_and_not_by_the_address(
    app: RequestMetrics,
) -> None:
    assert await counted(app, "/prices/TSLA", "/prices/NFLX", "/prices/a/b") == {
        ("/prices/{name}", "GET", "200"): 3
    }


async def test_addresses_and_methods_that_do_not_exist_are_one_each(app: RequestMetrics) -> None:
    await counted(app, "/nothing", "/here")
    await counted(app, "/prices/TSLA", method="BREW")
    assert await counted(app, "/prices/TSLA", method="POST") == {
        ("other", "GET", "404"): 2,
        ("/prices/{name}", "other", "405"): 2,
    }


async def test_an_answer_without_an_end_is_told_from_a_whole_one(app: RequestMetrics) -> None:
    leaving = asyncio.ensure_future(request(app, "/prices/slow"))
    await asyncio.sleep(0)
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    assert await counted(app, "/prices/broken-off") == {("/prices/{name}", "GET", "aborted"): 2}


async def test_a_bug_is_a_500(app: RequestMetrics) -> None:
    with pytest.raises(ZeroDivisionError):
        await request(app, "/prices/bug")
    assert await counted(app) == {("/prices/{name}", "GET", "500"): 1}


async def test_how_long_they_took_is_known_by_route(app: RequestMetrics) -> None:
    await counted(app, "/nothing", "/prices/TSLA", "/prices/NFLX")
    await request(app, "/prices/TSLA")
    told = metrics_of(app.read())
    route = "/prices/{name}"
    assert told[metric("request_seconds", route=route, stat="count")] == 3
    assert told[metric("request_seconds", route="other", stat="count")] == 1
    longest = told[metric("request_seconds", route=route, stat="max")]
    assert 0 <= told[metric("request_seconds", route=route, stat="p50")] <= longest < 5
