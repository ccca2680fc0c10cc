"""pipeline.tick: what a message means, and what is refused with which reason."""

import re

import pytest

from pipeline.tick import (
    InvalidTick,
    parse_message,
    unpack_id,
)

LARGEST_SEQUENCE = 1_023_999

REFUSED = {
    b"": "empty message",
    b"TSLA": "no colon between name and price",
    b"TSLA:": "price is empty",
    b":1": "name is empty",
    b"TSLA:abc": "price is not a plain decimal number",
    b"TSLA:NaN": "price is not a plain decimal number",
    b"TSLA:Infinity": "price is not a plain decimal number",
    b"TSLA:-5": "price is not a plain decimal number",
    b"TSLA:+5": "price is not a plain decimal number",
    b"TSLA:07": "price is not a plain decimal number",
    b"TSLA:.5": "price is not a plain decimal number",
    b"TSLA:5.": "price is not a plain decimal number",
    b"TSLA:1e400": "price is not a plain decimal number",
    b"TSLA:1_0": "price is not a plain decimal number",
    b"TSLA:0x10": "price is not a plain decimal number",
    b"TSLA: 5": "price is not a plain decimal number",
    b"TSLA:5 ": "price is not a plain decimal number",
    b"TSLA:5\n": "price is not a plain decimal number",
    b"TSLA:5\0": "price is not a plain decimal number",
    b"TSLA:1,5": "price is not a plain decimal number",
    "TSLA:٣".encode(): "price is not a plain decimal number",
    b"TSLA:\xff": "price is not a plain decimal number",
    b"TSLA:0": "price is not above zero",
    b"TSLA:0.000": "price is not above zero",
    b"TSLA:0." + b"0" * 30: "price is not above zero",
    b"TSLA:" + b"9" * 19: "price has more than 18 digits before or after the point",
    b"TSLA:1." + b"9" * 19: "price has more than 18 digits before or after the point",
    b"TSLA:" + b"9" * 1_000_000: "price has more than 18 digits before or after the point",
    b"A:B:1": "name contains a colon",
    b"A B:1": "name contains white space or an unprintable character",
    b"\tA:1": "name contains white space or an unprintable character",
    b"A\0:1": "name contains white space or an unprintable character",
    "A\u00a0B:1".encode(): "name contains white space or an unprintable character",
    "A\u3000:1".encode(): "name contains white space or an unprintable character",
    "A\u200b:1".encode(): "name contains white space or an unprintable character",
    "A\ue000:1".encode(): "name contains white space or an unprintable character",
    b"\xc3(:1": "name is not UTF-8",
    b"\xed\xa0\x80:1": "name is not UTF-8",
    b"A" * 256 + b":1": "name is longer than 255 characters",
    b"A" * 1_000_000 + b":1": "name is longer than 255 characters",
}

ACCEPTED = {
    b"TSLA:723.02": ("TSLA", "723.02"),
    b"BRK.B:1": ("BRK.B", "1"),
    b"A:0.5": ("A", "0.5"),
    b"A:10": ("A", "10"),
    b"A:1.50": ("A", "1.50"),
    "Ünïcode€:1".encode(): ("Ünïcode€", "1"),
    "株:1".encode(): ("株", "1"),
    "\U0001d49c:1".encode(): ("\U0001d49c", "1"),
    b"-:1": ("-", "1"),
    b"A:" + b"9" * 18: ("A", "9" * 18),
    b"A:0." + b"0" * 17 + b"1": ("A", "0." + "0" * 17 + "1"),
    b"A" * 255 + b":1": ("A" * 255, "1"),
    "é".encode() * 255 + b":1": ("é" * 255, "1"),  # characters are counted, not bytes
}


@pytest.mark.parametrize(("message", "reason"), REFUSED.items(), ids=lambda value: repr(value)[:30])
def test_a_bad_message_is_refused_with_the_reason(message: bytes, reason: str) -> None:
    for _ in range(2):  # the second time from the cache of names
        with pytest.raises(InvalidTick, match=re.escape(reason)):
            parse_message(message)


@pytest.mark.parametrize(
    ("message", "expected"), ACCEPTED.items(), ids=lambda value: repr(value)[:30]
)
def test_a_good_message_is_split_at_the_colon(message: bytes, expected: tuple[str, str]) -> None:
    name, price = expected
    assert parse_message(message) == (name, price.encode())


def test_an_id_that_the_bridge_cannot_have_made_is_refused() -> None:
    assert unpack_id(b"5-%d" % LARGEST_SEQUENCE) == (5, LARGEST_SEQUENCE)
    for foreign in (b"5-%d" % (LARGEST_SEQUENCE + 1), b"%d-0" % (1 << 43), b"%d-0" % (1 << 64)):
        with pytest.raises(InvalidTick, match="not made by the bridge"):
            unpack_id(foreign)
