"""What schemathesis sends where a schema can't say it all; SCHEMATHESIS_HOOKS names it."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import schemathesis
from hypothesis import strategies as st

from api.ranges import parse_time, rfc3339

ENDS = ("start_time", "end_time")

# A schema can't tell the years that there are, nor the days of a month.
times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  # as hypothesis wants them
schemathesis.openapi.format("date-time", times.map(rfc3339))


@schemathesis.hook
def before_call(_: Any, case: Any, __: Any) -> None:
    """Nor that a range's start isn't after its end."""
    query = case.query or {}
    ends = [text for name in ENDS if isinstance(text := query.get(name), str)]
    if len(ends) == len(ENDS):
        with suppress(ValueError):
            query.update(zip(ENDS, sorted(ends, key=parse_time), strict=True))
