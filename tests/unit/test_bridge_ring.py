"""The ring keeps the last seconds before the newest append, however long ago that was."""

from datetime import timedelta

import pytest

from bridge import ring
from bridge.ids import Ids, Run
from bridge.ring import Ring
from bridge.script import Batch

HOURS_AGO_MS = 1_763_000_000_000
LIMIT = 1000


def appended(second: int, messages: int = 2) -> Batch:
    ids = Ids((Run(HOURS_AGO_MS + second * 1000, 0, messages),))
    return Batch(ids, [b"NYSE"] * messages, [b"A:%d" % second] * messages)


def kept(ring: Ring, after: bytes = b"0-0") -> list[bytes]:
    return [entry_id for batch in ring.newer_than(after) for entry_id in batch.ids]


def ids(*batches: Batch) -> list[bytes]:
    return [entry_id for batch in batches for entry_id in batch.ids]


def test_age_is_counted_back_from_the_newest_append_and_not_from_now() -> None:
    batches = [appended(second) for second in range(20)]
    ring = Ring(timedelta(seconds=10), LIMIT)
    for batch in batches:
        ring.add(batch)

    assert kept(ring) == ids(*batches[9:])


def test_what_the_stream_still_has_is_left_out_to_the_message() -> None:
    batches = [appended(second) for second in range(3)]
    ring = Ring(timedelta(seconds=10), LIMIT)
    for batch in batches:
        ring.add(batch)

    assert kept(ring, after=batches[1].ids[0]) == ids(*batches)[3:]
    assert kept(ring, after=batches[2].ids[-1]) == []


def test_it_has_a_size_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "MAX_BYTES", 500)
    keeps = Ring(timedelta(days=1), LIMIT)
    batches = [appended(second) for second in range(20)]
    for batch in batches:
        keeps.add(batch)

    assert kept(keeps) == ids(*batches[-2:])
    keeps.add(appended(20, messages=9))
    assert kept(keeps) == []


def test_no_more_comes_again_than_the_stream_may_have() -> None:
    batches = [appended(second, messages=4) for second in range(3)]
    ring = Ring(timedelta(seconds=10), limit=6)
    for batch in batches:
        ring.add(batch)

    assert kept(ring) == ids(*batches)[-6:]
    assert kept(ring, after=batches[2].ids[0]) == ids(batches[2])[1:]
