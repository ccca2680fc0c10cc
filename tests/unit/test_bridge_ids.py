"""Entry ids only rise, whatever the clock does and whoever else appended."""

import pytest

from bridge.ids import EntryIds, Ids, Run
from tests.consuming import events

NOON_MS = 1_763_000_000_000
NOON_US, HOUR_US = NOON_MS * 1000, 3_600_000_000


def at(ms: int, *sequences: int) -> list[bytes]:
    return [b"%d-%d" % (NOON_MS + ms, sequence) for sequence in sequences]


def test_messages_of_one_read_have_ids_of_their_own_in_order() -> None:
    stamped = EntryIds().stamp(NOON_US + 7, 3)

    assert list(Ids(tuple(stamped))) == at(0, 7 * 1024, 7 * 1024 + 1, 7 * 1024 + 2)


def test_a_clock_that_steps_back_is_said_once_and_ids_go_on_above_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ids = EntryIds()
    ids.start_above(*at(0, 41))  # the stream's last: a flush may have taken it since

    late = [run for n in range(3) for run in ids.stamp(NOON_US - HOUR_US + n, 1)]

    assert list(Ids(tuple(late))) == at(0, 42, 43, 44)
    [said] = events(capsys, "bridge.clock_behind")
    assert said["seconds"] == pytest.approx(3600)


def test_a_full_millisecond_goes_on_in_the_next() -> None:
    ids = EntryIds()
    ids.start_above(*at(0, 1_023_998))

    assert list(Ids(tuple(ids.stamp(NOON_US, 3)))) == at(0, 1_023_999) + at(1, 0, 1)


@pytest.mark.parametrize("sequence", [1_024_000, 1 << 20, 2**64 - 1])
def test_ours_follow_a_strangers_id_that_none_of_ours_can_have(sequence: int) -> None:
    ids = EntryIds()
    ids.start_above(*at(0, sequence))

    assert list(Ids(tuple(ids.stamp(NOON_US, 2)))) == at(1, 0, 1)


def test_runs_are_the_list_of_their_ids() -> None:
    ids = Ids((Run(NOON_MS, 7, 3), Run(NOON_MS + 1, 0, 2)))
    listed = at(0, 7, 8, 9) + at(1, 0, 1)

    assert (list(ids), len(ids), ids.last) == (listed, 5, listed[-1])
    assert [ids[n] for n in range(-5, 5)] == listed * 2
    assert list(ids[1:4]) == listed[1:4]
    for beyond in (5, -6):
        with pytest.raises(IndexError):
            ids[beyond]


@pytest.mark.parametrize("said", [b"", b"1-2+3", b"1-2+3,4-5+6"])
def test_what_was_encoded_is_parsed(said: bytes) -> None:
    ids = Ids.parse(said)

    assert ids is not None
    assert ids.encode() == said


@pytest.mark.parametrize("said", [b"1-2", b"1-2+3,", b",1-2+3", b"1-2+3 ", b"1-2+-3", b"x"])
def test_what_is_not_a_list_of_runs_is_none(said: bytes) -> None:
    assert Ids.parse(said) is None
