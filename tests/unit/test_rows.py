"""writer.rows: what COPY is given is what the entry means, to the last digit."""

from decimal import Decimal, localcontext
from struct import unpack

from hypothesis import given
from hypothesis import strategies as st

from pipeline.stream import Entry
from pipeline.ticks import sift
from tests.expected import EPOCH, tick_of
from writer.rows import Row, encode_price, rows_of

LARGEST_SEQUENCE = 1_023_999
US_2000 = 946_684_800_000_000

digits = st.text("0123456789", min_size=1, max_size=18)
prices = st.builds(lambda whole, part: f"{int(whole)}.{part}", digits, digits) | st.builds(
    lambda whole: f"{int(whole)}", digits
)


def row_of(entry: Entry) -> Row:
    (row,) = rows_of(sift([entry])[0])
    return row


def decoded(binary: bytes) -> str:
    """As PostgreSQL's documentation of its wire format says."""
    count, weight, sign, scale, *groups = unpack(f">hhHH{len(binary) // 2 - 4}H", binary)
    assert (sign, count) == (0, len(groups))
    assert max(groups) < 10_000
    with localcontext(prec=100):
        value = sum(Decimal(group).scaleb(4 * (weight - n)) for n, group in enumerate(groups))
        return f"{Decimal(value):.{scale}f}"


@given(price=prices)
def test_a_price_keeps_every_digit(price: str) -> None:
    assert decoded(encode_price(price.encode())) == price


def test_a_row_has_the_time_of_its_entry_id_and_the_price_as_published() -> None:
    entry = (b"1763971200123-%d" % (456 * 1024 + 7), b"NYSE", b"TSLA:723.0200")
    row = row_of(entry)
    tick = tick_of(entry)

    received_us = (tick.timestamp - EPOCH).total_seconds() * 1e6
    assert row == ((received_us - US_2000,), "TSLA", "NYSE", b"723.0200", tick.event_id)


def test_ids_keep_their_order_when_packed() -> None:
    ids = [b"1-0", b"1-1", b"1-%d" % LARGEST_SEQUENCE, b"2-0", b"1763971200123-5"]
    packed = [row_of((each, b"NYSE", b"A:1"))[-1] for each in ids]
    assert packed == sorted(set(packed))


def test_the_last_moment_that_an_id_can_carry_is_centuries_away() -> None:
    (since_2000,), *_, event_id = row_of(
        (b"%d-%d" % ((1 << 43) - 1, LARGEST_SEQUENCE), b"NYSE", b"A:1")
    )
    assert event_id == ((1 << 43) - 1) << 20 | LARGEST_SEQUENCE < 2**63  # a bigint
    assert since_2000 // 1_000_000 // 86_400 // 365 == 2248 - 2000
