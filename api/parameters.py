"""Parameters: what may stand behind the ? of an address; anything else is refused."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from api.ranges import MAX_LIMIT

_TIME = """RFC 3339 with an offset, or seconds since 1970 (fractions too).
A time without an offset is read as UTC, and `note` in the answer says so."""


class Parameters(BaseModel):
    """A misspelt parameter is refused: ignored, it would quietly ask for something else."""

    model_config = ConfigDict(extra="forbid")


class RangeQuery(Parameters):
    start_time: str | None = Field(
        None,
        description=f"{_TIME} Ticks at this time are in. Missing: from the beginning.",
        examples=["2026-11-24T08:00:00Z"],
    )
    end_time: str | None = Field(
        None,
        description=f"{_TIME} Ticks at this time are out. Missing: all there is.",
        examples=["1795510800.5"],
    )


class PageQuery(RangeQuery):
    """Pages by key: no page is slower than the first, and none shifts when ticks arrive."""

    limit: int | None = Field(
        None, ge=1, le=MAX_LIMIT, description="prices in one answer; missing: all of them"
    )
    cursor: str | None = Field(
        None, description="`next_cursor` of the page before; all else as it was asked then"
    )


class Named(Parameters):
    stock_name: str = Field(description="as published, case-sensitive", examples=["TSLA"])


class NamedRange(RangeQuery, Named):
    pass


class NamedPage(PageQuery, Named):
    pass


async def _none(_: Annotated[Parameters, Query()]) -> None:
    """For a route that takes none."""


NO_PARAMETERS = [Depends(_none)]
