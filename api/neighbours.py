"""Neighbours: what the routes need from outside; the app that they are part of has it."""

from dataclasses import dataclass, field

from starlette.requests import Request

from api.replica import Databases
from api.settings import ApiSettings
from api.status import Streams
from api.watch import Watch


@dataclass(frozen=True)
class Neighbours:
    """Redis and PostgreSQL, either of which may be away."""

    databases: Databases
    streams: Streams
    settings: ApiSettings
    redis_watch: Watch = field(default_factory=lambda: Watch("redis"))


async def neighbours(request: Request) -> Neighbours:
    """For Depends."""
    found: Neighbours = request.app.state.neighbours
    return found


async def databases(request: Request) -> Databases:
    """For Depends."""
    return (await neighbours(request)).databases
