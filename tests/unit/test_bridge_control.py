"""What bridges tell each other is read as it was said, and nothing else is."""

import pytest

from bridge.control import Marker, Notice, Taken, parse
from bridge.ids import Ids, Run

NOTICE = Notice(b"t", 1, b"t:1", 2, 3, b"m:1", b"1-1", Ids((Run(2, 0, 2), Run(3, 7, 1))))


@pytest.mark.parametrize(
    "said",
    [
        NOTICE,
        NOTICE._replace(ids=Ids()),
        NOTICE._replace(answered=b""),
        Marker(b"m:1"),
        Taken(b"t"),
    ],
)
def test_what_is_said_is_heard(said: Notice | Marker | Taken) -> None:
    assert parse(said.encode()) == said


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"hello",
        b"notice",
        NOTICE._replace(before=b"x-y").encode(),
        NOTICE.encode().replace(b"2-0+2", b"2-0+z"),
        NOTICE.encode().replace(b" 2 3 ", b" %s 3 " % (b"9" * 5000)),
        NOTICE.encode().replace(b" 2 3 ", b" -2 3 "),
        NOTICE.encode() + b" more",
    ],
)
def test_what_no_bridge_says_is_nothing(said: bytes) -> None:
    assert parse(said) is None
