"""writer.rows: what COPY is given is what the entry means, to the last digit."""

from decimal import Decimal, localcontext
from struct import unpack_from

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ticks import sift
from tests.expected import EPOCH, tick_of
from writer.rows import encode, encode_prices

LARGEST_SEQUENCE = 1_023_999
US_2000 = 946_684_800_000_000

digits = st.text("0123456789", min_size=1, max_size=18)
prices = st.builds(lambda whole, part: f"{int(whole)}.{part}", digits, digits) | st.builds(
    lambda whole: f"{int(whole)}", digits
)


common = st.decimals("0.01", "99999999", places=2).map(str)


def decoded(binary: bytes) -> str:
    """As PostgreSQL's documentation of its wire format says."""
    length, count, weight, sign, scale = unpack_from(">ihhHH", binary)
    assert length == len(binary) - 4
    groups = unpack_from(f">{count}H", binary, 12)
    assert (sign, length) == (0, 8 + 2 * count)
    assert max(groups) < 10_000
    with localcontext(prec=100):
        value = sum(Decimal(group).scaleb(4 * (weight - n)) for n, group in enumerate(groups))
        return f"{Decimal(value):.{scale}f}"


def fields(row: bytes) -> list[bytes]:
    """The columns of a row, each without its length."""
    (count,) = unpack_from(">h", row)
    found, at = [], 2
    for _ in range(count):
        (length,) = unpack_from(">i", row, at)
        found.append(row[at + 4 : at + 4 + length])
        at += 4 + length
    assert at == len(row)
    return found


def row_of(*entry: bytes) -> tuple[int, int, str, str, str]:
    ticks, rejected = sift([entry])  # type: ignore[list-item]  # three of them
    assert not rejected
    event_id, since_2000, price, name, exchange = fields(encode(ticks))
    numbers = int.from_bytes(event_id), int.from_bytes(since_2000, signed=True)
    length = len(price).to_bytes(4)
    return *numbers, decoded(length + price), name.decode(), exchange.decode()


@given(batch=st.lists(prices, min_size=1) | st.lists(common, min_size=1))
def test_a_price_keeps_every_digit(batch: list[str]) -> None:
    encoded = encode_prices([price.encode() for price in batch])
    assert [decoded(each) for each in encoded] == batch


def test_a_row_has_the_time_of_its_entry_id_and_the_price_as_published() -> None:
    entry = (b"1763971200123-%d" % (456 * 1024 + 7), b"NYSE", b"TSLA:723.0200")
    tick = tick_of(entry)

    received_us = (tick.timestamp - EPOCH).total_seconds() * 1e6
    expected = (tick.event_id, received_us - US_2000, "723.0200", "TSLA", "NYSE")
    assert row_of(*entry) == expected


def test_rows_follow_each_other_in_the_order_of_their_entries() -> None:
    batch = [(b"%d-0" % n, b"NYSE", b"A%d:%d.5" % (n, n)) for n in range(1, 2500)]
    ticks, _ = sift(batch)
    whole = encode(ticks)
    assert whole == b"".join(encode(ticks.part(n, n + 1)) for n in range(len(batch)))


def test_ids_keep_their_order_when_packed() -> None:
    ids = [b"1-0", b"1-1", b"1-%d" % LARGEST_SEQUENCE, b"2-0", b"1763971200123-5"]
    packed = [row_of(each, b"NYSE", b"A:1")[0] for each in ids]
    assert packed == sorted(set(packed))


def test_the_last_moment_that_an_id_can_carry_is_centuries_away() -> None:
    event_id, since_2000, *_ = row_of(b"%d-%d" % ((1 << 43) - 1, LARGEST_SEQUENCE), b"NYSE", b"A:1")
    assert event_id == ((1 << 43) - 1) << 20 | LARGEST_SEQUENCE < 2**63  # a bigint
    assert since_2000 // 1_000_000 // 86_400 // 365 == 2248 - 2000
