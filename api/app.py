"""create_app(): the routes, the documentation and the errors, put together."""

from fastapi import FastAPI

from api import history, operations
from api.neighbours import Neighbours
from api.problems import answer_problems

_DESCRIPTION = """
Every price that was published and stored, exactly as it was published.

* A range takes in its start and leaves out its end, so ranges that meet share no tick.
* A stock is named in the path, or as `?stock_name=`: no path can carry a name such as `..`.
* Prices are JSON numbers with every digit; a reader that needs them all parses them as decimals.
* `id` is a tick's identity: the same here, in the stream and in the live feed.
* Every error is `application/problem+json` (RFC 9457); a 503 has `Retry-After`.
"""


def create_app(neighbours: Neighbours) -> FastAPI:
    app = FastAPI(
        title="Stock prices",
        version="1",
        summary="History, averages and newest prices of the ticks that went through the pipeline",
        description=_DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,  # FastAPI's page loads its scripts from elsewhere; ours is in operations
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.neighbours = neighbours
    app.include_router(history.router)
    app.include_router(operations.router)
    answer_problems(app)
    return app
