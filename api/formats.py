"""Format: JSON, CSV or one JSON object a line, as the query or Accept asks for it."""

import csv
from collections.abc import Iterable, Mapping
from enum import StrEnum
from io import StringIO

import orjson

LINES = "application/x-ndjson"


class Format(StrEnum):
    """Values are what `format` may be."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"

    @property
    def media_type(self) -> str:
        return {"json": "application/json", "csv": "text/csv", "ndjson": LINES}[self]

    @property
    def separator(self) -> str:
        """Between two lines; the last one ends like the others, but in JSON."""
        return "," if self is Format.JSON else "\n"


ACCEPTED = {
    "application/json": Format.JSON,
    "text/csv": Format.CSV,
    LINES: Format.NDJSON,
    "application/ndjson": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
}


def chosen(asked: Format | None, accept: str | None) -> Format:
    """The query wins; of Accept the first of what is liked best. Anything else gets JSON."""
    if asked:
        return asked
    best, liked = Format.JSON, 0.0
    for item in (accept or "").split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        found = Format.JSON if media_type in ("*/*", "application/*") else ACCEPTED.get(media_type)
        if found and (quality := _quality(parameters)) > liked:
            best, liked = found, quality
    return best


class Digits(str):
    """A number as PostgreSQL writes it: a float has fewer digits."""

    __slots__ = ()


def digits(number: object) -> orjson.Fragment:
    """For orjson's `default`, with OPT_PASSTHROUGH_SUBCLASS."""
    assert isinstance(number, Digits)  # noqa: S101  # nothing else of ours is unknown to orjson
    return orjson.Fragment(str(number))  # it takes no subclass


def as_json(value: object) -> bytes:
    return orjson.dumps(value, default=digits, option=orjson.OPT_PASSTHROUGH_SUBCLASS)


def as_csv(rows: Iterable[Mapping[str, object]]) -> bytes:
    """Without a head."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(row.values() for row in rows)
    return text.getvalue().encode()


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
