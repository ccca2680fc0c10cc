"""Parameters: what may stand behind the ? of an address; anything else is refused."""

from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from api.formats import Format
from api.ranges import MAX_LIMIT

MAX_CANDLES = 10_000

_TIME = """RFC 3339 with an offset, or seconds since 1970 (fractions too).
A time without an offset is read as UTC, and `note` in the answer says so."""

# What isn't documented may be read as well, such as a blank for the T.
Time = Annotated[
    str,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "string", "pattern": r"^-?[0-9]{1,10}(\.[0-9]{1,9})?$"},
                {"type": "string", "maxLength": 0},
            ]
        }
    ),
]

# base64url of eight bytes: a tick's id, below 2^63, or a candle's second.
_ID_CURSOR = "[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]"
_SECOND_CURSOR = "AAAA[A-H][A-Za-z0-9_-]{5}[AEIMQUYcgkosw048]"
_ENTRY_ID = "[0-9]{1,12}-[0-9]{1,6}"


def _pattern(*alternatives: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(alternatives)})?$"})


class Parameters(BaseModel):
    """A misspelt parameter is refused: ignored, it would quietly ask for something else."""

    model_config = ConfigDict(extra="forbid")


class RangeQuery(Parameters):
    start_time: Time | None = Field(
        None,
        description=f"{_TIME} Ticks at this time are in. Missing: from the beginning.",
        examples=["2026-11-24T08:00:00Z"],
    )
    end_time: Time | None = Field(
        None,
        description=f"{_TIME} Ticks at this time are out. Missing: all there is.",
        examples=["1795510800.5"],
    )


class PageQuery(RangeQuery):
    """Pages by key: no page is slower than the first, and none shifts when ticks arrive."""

    limit: int | None = Field(
        None, ge=1, le=MAX_LIMIT, description="prices in one answer; missing: all of them"
    )
    cursor: Annotated[str, _pattern(_ID_CURSOR, _ENTRY_ID)] | None = Field(
        None,
        description="`next_cursor` of the page before, or the `id` that it ended with; all else as"
        " it was asked then",
    )
    order: Literal["asc", "desc"] = Field("asc", description="oldest or newest first")
    format: Format | None = Field(
        None, description="missing: what `Accept` likes best of the three, or JSON"
    )


class CandleQuery(RangeQuery):
    """A page has at most `limit` candles, and fewer where there were times without ticks."""

    interval: Literal["1m", "5m", "15m", "1h", "1d"] = Field(
        "1m", description="width of a candle; hours and days are those of UTC"
    )
    limit: int = Field(1000, ge=1, le=MAX_CANDLES, description="candles in one answer")
    cursor: Annotated[str, _pattern(_SECOND_CURSOR)] | None = Field(
        None, description="`next_cursor` of the page before; all else as it was asked then"
    )
    format: Format | None = Field(
        None, description="missing: what `Accept` likes best of the three, or JSON"
    )


class Named(Parameters):
    stock_name: str = Field(description="as published, case-sensitive", examples=["TSLA"])


class NamedRange(RangeQuery, Named):
    pass


class NamedPage(PageQuery, Named):
    pass


class NamedCandles(CandleQuery, Named):
    pass


async def _none(_: Annotated[Parameters, Query()]) -> None:
    """For a route that takes none."""


NO_PARAMETERS = [Depends(_none)]
