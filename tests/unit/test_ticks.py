"""pipeline.ticks: all at once, a batch is what its entries are one by one."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline.ticks
from pipeline.stream import Entry
from pipeline.tick import SEQUENCES, InvalidTick, checked_name, parse_message, unpack_id
from pipeline.ticks import sift

PIECES = [
    b"A",
    b"BRK.B",
    b"\xc3\xa9",
    b":",
    b"\n",
    b"0",
    b".",
    b"1",
    b"05",
    b"723.02",
    b" ",
    b"\xff",
]

valid = st.sampled_from([b"TSLA:723.02", b"A:0.10", b"\xc3\xa9:1", b"A:" + b"9" * 18 + b".000"])
messages = st.lists(st.sampled_from(PIECES), max_size=6).map(b"".join) | valid
ids = st.builds(
    lambda ms, sequence: b"%d-%d" % (ms, sequence),
    st.sampled_from([0, 1763971200123, (1 << 43) - 1, 1 << 43, (1 << 64) - 1]),
    st.sampled_from([0, 5 << 10, SEQUENCES - 1, SEQUENCES, (1 << 64) - 1]),
)
usual = st.builds(lambda sequence: b"1763971200123-%d" % sequence, st.integers(0, SEQUENCES - 1))
channels = st.sampled_from([b"NYSE", b"NASDAQ", b"NYSE", b"NASDAQ", b"NY SE", b""])
entries = st.lists(st.tuples(usual, st.just(b"NYSE"), valid), max_size=9) | st.lists(
    st.tuples(ids | usual, channels, messages), max_size=9
)


@pytest.fixture(autouse=True, scope="module")
def small_parts() -> Iterator[None]:
    """Or no batch would have two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.ticks, "MATCHED", 2)
        yield


@given(batch=entries)
def test_a_batch_is_what_its_entries_are_one_by_one(batch: list[Entry]) -> None:
    ticks, rejected = sift(batch)
    usable, reasons = [], []
    for entry in batch:
        entry_id, channel, message = entry
        try:
            named = parse_message(message)
            ms, sequence = unpack_id(entry_id)
            tick = (*named, ms * 1000 + sequence // 1024, checked_name(channel))
            usable.append((entry, entry_id, *tick))
        except InvalidTick as fault:
            reasons.append((entry, str(fault)))
    names, prices, times = ticks.stock_names, ticks.prices, ticks.received_us()
    columns = (ticks.entries, ticks.ids, names, prices, times, ticks.exchanges)
    assert list(zip(*columns, strict=True)) == usable
    assert rejected == reasons


def test_the_time_of_receipt_is_in_the_entry_id() -> None:
    ids = (b"1763971200123-466944", b"1763971200123-0")
    ticks, _ = sift([(entry_id, b"NYSE", b"A:1") for entry_id in ids])
    assert ticks.received_us() == [1763971200123456, 1763971200123000]


def test_lines_that_would_do_in_another_order_are_refused() -> None:
    """Two messages whose colons and line ends are as many as those of two good ones."""
    bad = [(b"1-0", b"NYSE", b"A:1\nB:2"), (b"1-1", b"NYSE", b"C")]
    ticks, rejected = sift(bad)
    assert (list(ticks.ids), len(rejected)) == ([], 2)
