"""AskedRange, TimeRange: the times and cursors that a request may name, and what is refused."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipeline.tick import SEQUENCE_BITS, TIME_BITS

MAX_LIMIT = 100_000
BEGINNING = datetime.min.replace(tzinfo=UTC)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_LONGEST = 64  # characters of a time; the longest sensible one has 35

_ENTRY_ID = re.compile(r"([0-9]{1,15})-([0-9]{1,9})")
_EPOCH_SECONDS = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
# RFC 3339, and what people and forms write instead: a blank for the T, no seconds, the date alone.
# A blank before the offset is a plus sign that a query string turned into one.
_DATE_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(?:[Zz]|([ +-])([0-9]{2}):([0-9]{2}))?)?"
)


class InvalidParameters(Exception):
    """What is wrong with each parameter, in words for whoever sent it."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__(str(faults))
        self.faults = faults


class Moment(NamedTuple):
    """A time, and whether it was read as UTC only because it had no offset."""

    at: datetime
    assumed_utc: bool = False


class Position(NamedTuple):
    """A place in a stock's history; ticks are ordered by it."""

    timestamp: datetime
    event_id: int


@dataclass(frozen=True)
class TimeRange:
    """From `start` on (None: the beginning) to just before `end`."""

    start: datetime | None
    end: datetime
    note: str | None = None

    @property
    def bounds(self) -> tuple[Position, Position]:
        """Every tick in the range is between the two."""
        return Position(self.start or BEGINNING, -1), Position(self.end, -1)


@dataclass(frozen=True)
class AskedRange:
    """A range as it was asked for: perhaps without an end."""

    start: datetime | None
    end: datetime | None
    note: str | None = None

    def closed(self, now: datetime, newest: datetime) -> TimeRange:
        """Without an end it is all there is: by a clock ahead of ours, that is more than until now.

        So is a start in the future, which makes an empty range and no mistake.
        """
        end = self.end or max(now, newest + MICROSECOND, self.start or now)
        return TimeRange(self.start, end, self.note)


def parse_range(start_time: str | None, end_time: str | None) -> AskedRange:
    """Empty is missing, as forms send it; raises InvalidParameters."""
    moments: dict[str, Moment] = {}
    faults: dict[str, str] = {}
    for field, text in (("start_time", start_time), ("end_time", end_time)):
        try:
            if text:
                moments[field] = parse_time(text.strip())
        except ValueError as error:
            faults[field] = str(error)
    if faults:
        raise InvalidParameters(faults)
    start, end = (moments[f].at if f in moments else None for f in ("start_time", "end_time"))
    if start and end and start > end:
        raise InvalidParameters({"start_time": "is after end_time"})
    assumed = " and ".join(field for field, moment in moments.items() if moment.assumed_utc)
    return AskedRange(start, end, f"no offset in {assumed}: read as UTC" if assumed else None)


def parse_time(text: str) -> Moment:
    """Raises ValueError with words that fit behind the name of a parameter."""
    if len(text) <= _LONGEST:
        if match := _EPOCH_SECONDS.fullmatch(text):
            return _from_epoch(*match.groups())
        if match := _DATE_TIME.fullmatch(text):
            return _from_date(match)
    raise ValueError(
        "is not a time: give RFC 3339 such as 2026-11-24T08:00:00Z, or seconds since 1970"
    )


def _from_epoch(sign: str, seconds: str, fraction: str | None) -> Moment:
    microseconds, more = _microseconds(fraction)
    total = int(seconds) * 1_000_000 + microseconds
    total = -total if sign else total + more
    try:
        return Moment(EPOCH + total * MICROSECOND)
    except OverflowError:
        raise ValueError(
            "is outside the years 1 to 9999: epoch times are in seconds, not milliseconds"
        ) from None


def _from_date(match: re.Match[str]) -> Moment:
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    leap = second == 60  # noqa: PLR2004  # RFC 3339 writes a leap second so; here it has no room
    microseconds, more = _microseconds(fraction)
    try:
        at = datetime(year, month, day, hour, minute, second - leap, microseconds, UTC)
    except ValueError as error:
        raise ValueError(f"is a time that doesn't exist: {error}") from None
    offset = _offset(sign, int(offset_hours or 0), int(offset_minutes or 0))
    try:
        at += timedelta(seconds=leap, microseconds=more)
        at -= offset
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999") from None
    return Moment(at, assumed_utc=not (sign or match[0][-1] in "Zz"))


def _offset(sign: str | None, hours: int, minutes: int) -> timedelta:
    if hours > 23 or minutes > 59:  # noqa: PLR2004  # a clock's last hour and minute
        raise ValueError("is a time that doesn't exist: offset must be from -23:59 to +23:59")
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if sign == "-" else offset


def _microseconds(fraction: str | None) -> tuple[int, int]:
    """Finer than ours is rounded up: that keeps just the same ticks on either side of the time."""
    digits = (fraction or "").ljust(6, "0")
    return int(digits[:6]), int(bool(digits[6:].strip("0")))


def write_cursor(number: int) -> str:
    """Opaque to its reader: what comes after the tick, or from the second on, is the next page."""
    return urlsafe_b64encode(number.to_bytes(8, "big")).rstrip(b"=").decode()


def read_cursor(text: str) -> int:
    """Raises InvalidParameters for anything that write_cursor didn't make."""
    number = -1
    try:
        number = int.from_bytes(urlsafe_b64decode(text + "="), "big")
        genuine = write_cursor(number) == text
    except (ValueError, OverflowError):
        genuine = False
    if not genuine or number >> 63:
        raise InvalidParameters({"cursor": "is not a cursor that this api gave"})
    return number


def read_place(text: str) -> Position:
    """A cursor, or the id of a tick, which lines without a cursor end with."""
    if match := _ENTRY_ID.fullmatch(text):
        ms, sequence = int(match[1]), int(match[2])
        if not ms >> TIME_BITS and not sequence >> SEQUENCE_BITS:
            return position(ms << SEQUENCE_BITS | sequence)
    return position(read_cursor(text))


def described(stock_name: str, part: TimeRange) -> dict[str, str | None]:
    """What every answer about a range begins with: the range that was used."""
    return {
        "stock_name": stock_name,
        "start_time": rfc3339(part.start) if part.start else None,
        "end_time": rfc3339(part.end),
        "note": part.note,
    }


def position(event_id: int) -> Position:
    """Where the writer put the tick with this id."""
    ms, sequence = event_id >> 20, event_id & 0xFFFFF
    return Position(EPOCH + timedelta(milliseconds=ms, microseconds=sequence >> 10), event_id)


def rfc3339(at: datetime) -> str:
    """UTC, always with all six digits, so that texts sort as times do."""
    return at.isoformat(timespec="microseconds")[:26] + "Z"
