"""api.ranges: which times, ranges and cursors are understood, and what is said of the others."""

from datetime import UTC, datetime, timedelta

import pytest

from api.ranges import (
    InvalidParameters,
    Position,
    parse_range,
    parse_time,
    position,
    read_cursor,
    read_place,
    rfc3339,
    write_cursor,
)

NOW = datetime(2026, 11, 24, 12, 0, 0, 5, tzinfo=UTC)
EIGHT = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-24T08:00:00Z", EIGHT),
        ("2026-11-24t08:00:00z", EIGHT),
        ("2026-11-24 08:00:00Z", EIGHT),
        ("2026-11-24T08:00Z", EIGHT),
        ("2026-11-24T09:30:00+01:30", EIGHT),
        ("2026-11-24T00:00:00-08:00", EIGHT),
        ("2026-11-24T09:30:00 01:30", EIGHT),  # + in a query string
        ("2026-11-24 08:00:00 00:00", EIGHT),
        ("2026-11-24T08:00:00-00:00", EIGHT),
        ("2026-11-25T07:59:00+23:59", EIGHT),
        ("2026-11-24T08:00:00.5Z", EIGHT + timedelta(milliseconds=500)),
        ("2026-11-24T08:00:00.123456Z", EIGHT + timedelta(microseconds=123456)),
        ("2026-11-24T08:00:00.123456000Z", EIGHT + timedelta(microseconds=123456)),
        # finer than a microsecond is rounded up, which keeps the same ticks on either side
        ("2026-11-24T08:00:00.123456001Z", EIGHT + timedelta(microseconds=123457)),
        ("2026-11-24T07:59:59.9999999Z", EIGHT),
        ("2026-11-24T07:59:60Z", EIGHT),  # a leap second
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
        ("1795507200", EIGHT),
        ("1795507200.000001", EIGHT + timedelta(microseconds=1)),
        ("1795507199.9999991", EIGHT),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ("-1.5", datetime(1969, 12, 31, 23, 59, 58, 500_000, tzinfo=UTC)),
        ("-0.0000019", datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_a_time_is_understood_to_the_microsecond(text: str, at: datetime) -> None:
    assert parse_time(text) == (at, False)


@pytest.mark.parametrize("text", ["2026-11-24T08:00:00", "2026-11-24 08:00:00", "2026-11-24T08:00"])
def test_a_time_without_an_offset_is_utc_and_marked(text: str) -> None:
    assert parse_time(text) == (EIGHT, True)


def test_a_date_alone_is_its_midnight_in_utc() -> None:
    assert parse_time("2026-11-24") == (EIGHT - timedelta(hours=8), True)


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "now",
        "08:00",
        "24.11.2026",
        "2026-11-24T08:00:00+0100",
        "2026-11-24T08:00:00+01",
        "2026-11-24T08:00:00 Z",
        "2026-11-24T",
        "2026-W48-2",
        "1e9",
        "+5",
        "5.",
        ".5",
        "Infinity",
        "NaN",
        "٣",  # a digit, but none of JSON's or RFC 3339's
        "2026-11-24T08:00:00Z\n",
        "9" * 65,
    ],
)
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T08:60:00Z",
        "2026-11-24T08:00:61Z",
        "2026-11-24T08:00:00+99:99",
        "2026-11-24T08:00:00+24:00",
        "2026-11-24T08:00:00-00:60",
    ],
)
def test_a_time_that_no_clock_shows_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="doesn't exist"):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:60Z",
        "1795507200000",
        "-99999999999",
        "9" * 64,
    ],
)
def test_a_time_beyond_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        parse_time(text)


def test_a_blank_is_no_missing_time() -> None:
    """It fits nothing that is documented; found by schemathesis."""
    with pytest.raises(InvalidParameters):
        parse_range(None, "\t")


def test_a_missing_start_is_the_beginning_and_a_missing_end_is_now() -> None:
    for missing in (None, ""):
        asked = parse_range(missing, missing)
        part = asked.closed(NOW, EIGHT)

        assert (part.start, part.end, part.note) == (None, NOW, None)
        assert part.bounds[0] < position(0) < part.bounds[1]


def test_a_missing_end_is_just_after_a_tick_by_a_clock_that_is_ahead() -> None:
    ahead = NOW + timedelta(seconds=3)

    assert parse_range(None, None).closed(NOW, ahead).end == ahead + timedelta(microseconds=1)
    assert parse_range(None, None).closed(NOW, NOW).end == NOW + timedelta(microseconds=1)


def test_an_end_is_kept_whatever_came_after_it() -> None:
    assert parse_range(None, "2026-11-24T08:00:00Z").closed(NOW, NOW).end == EIGHT


def test_a_start_in_the_future_is_an_empty_range() -> None:
    part = parse_range("2026-11-25T00:00:00Z", None).closed(NOW, EIGHT)

    assert part.start == part.end


def test_a_start_after_the_end_names_the_field() -> None:
    assert parse_range("5", "5").start == parse_range("5", "5").end
    with pytest.raises(InvalidParameters) as raised:
        parse_range("5.000001", "5")

    assert raised.value.faults == {"start_time": "is after end_time"}


def test_every_wrong_time_is_named() -> None:
    with pytest.raises(InvalidParameters) as raised:
        parse_range("x", "y")

    assert raised.value.faults.keys() == {"start_time", "end_time"}


def test_the_note_names_the_times_that_had_no_offset() -> None:
    start, end = "2026-11-24T08:00:00", "2026-11-24T09:00:00"

    notes = [
        parse_range(first, second).note
        for first, second in ((start, end), (start + "Z", end), (start, "2000000000"))
    ]

    assert notes == [
        "no offset in start_time and end_time: read as UTC",
        "no offset in end_time: read as UTC",
        "no offset in start_time: read as UTC",
    ]


def test_a_tick_at_the_start_is_in_the_range() -> None:
    start = "2026-11-24T08:00:00.000007Z"
    before_start, _ = parse_range(start, start).closed(NOW, NOW).bounds
    first = position(1795507200000 << 20 | 7 << 10)

    assert before_start < first
    assert position(first.event_id - 1) < before_start


@pytest.mark.parametrize("event_id", [0, 1, 1795507200000 << 20 | 7 << 10 | 3, 2**63 - 1])
def test_a_cursor_leads_back_to_its_tick(event_id: int) -> None:
    cursor = write_cursor(event_id)

    assert read_cursor(cursor) == event_id
    assert read_place(cursor) == position(event_id)
    assert read_place(f"{event_id >> 20}-{event_id & 0xFFFFF}") == position(event_id)
    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_the_position_of_a_tick_is_what_its_id_carries() -> None:
    assert position(1795507200123 << 20 | 456 << 10 | 9) == Position(
        EIGHT + timedelta(microseconds=123456), 1795507200123 << 20 | 456 << 10 | 9
    )


@pytest.mark.parametrize(
    "text", ["", "x", "AAAA", "AAAAAAAAAAB", "AAAAAAAAAA=", "AAAA AAAAAAA", "__________8", "é"]
)
def test_a_cursor_of_somebody_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameters) as raised:
        read_cursor(text)

    assert raised.value.faults.keys() == {"cursor"}


def test_times_are_written_so_that_they_sort_as_text() -> None:
    assert rfc3339(EIGHT) == "2026-11-24T08:00:00.000000Z"
    assert rfc3339(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00.000000Z"
