"""What make chaos counts: each kind of difference is seen, and README shows what was recorded."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from tests.chaos.__main__ import choose
from tests.chaos.clock_faults import clock_faults
from tests.chaos.comparison import Fault, Stored, Totals, compare
from tests.chaos.faults import NEED_A_RING, NEEDS_ROOT, faults
from tests.chaos.load import Load
from tests.chaos.network_faults import network_faults
from tests.chaos.page import Id, Page
from tests.chaos.record import END, START, merge, read, table
from tests.chaos.trial import Outcome, draw
from tests.services import ROOT

NAME, CHANNEL = "CHAOS-A", "prices:NYSE"
SECOND = 1_000_000
RESULT = ROOT / "docs" / "chaos.json"


def stored(*numbers: int) -> list[Stored]:
    """Rows that came one millisecond apart, numbered by their places."""
    return [Stored(ms * 1000, ms << 20, number) for ms, number in enumerate(numbers, 1)]


def compared(
    rows: list[Stored],
    publications: Sequence[tuple[list[Stored], int]] | None = None,
    holes: Sequence[Id] = (),
    faults: Sequence[Fault] = (),
) -> Totals:
    """Of one stock, of which 1 to 5 were published to a bridge."""
    load = Load("redis://localhost", rate=1)
    load.number, load.heard[NAME] = 5, {1, 2, 3, 4, 5}
    load.times = {number: (number * SECOND, number * SECOND + 1) for number in range(1, 6)}
    page = Page("http://localhost")
    page._positions[CHANNEL] = ("", 0)  # noqa: SLF001 - as if subscribed
    for ticks, skipped in publications if publications is not None else [(rows, 0)]:
        shown = [[f"{row.event_id >> 20}-0", NAME, row.number / 100] for row in ticks]
        data = {"ticks": shown, "skipped": skipped}
        page._take(CHANNEL, [{"offset": 1, "data": data}])  # noqa: SLF001 - as from Centrifugo
    return compare(load, {NAME: rows}, page, holes, faults)


def test_a_run_in_which_all_arrives_has_no_difference() -> None:
    assert compared(stored(1, 2, 3, 4, 5)) == Totals(ticks=5)


def test_a_missing_row_is_lost() -> None:
    totals = compared(stored(1, 2, 4, 5))
    assert (totals.lost, totals.differences) == (1, [f"lost: {NAME} 3 isn't in the table"])


def test_a_row_that_is_missing_when_nobody_listened_was_undeliverable() -> None:
    rows, fault = stored(1, 2, 4, 5), Fault(2 * SECOND + 1, 4 * SECOND - 1)
    there = compared(rows, holes=[rows[1].entry_id], faults=[fault])
    assert (there.lost, there.undeliverable, there.ticks) == (0, 1, 4)


def test_a_row_that_is_missing_elsewhere_or_at_another_time_is_lost() -> None:
    rows, fault = stored(1, 2, 4, 5), Fault(2 * SECOND + 1, 4 * SECOND - 1)
    for place in (0, 2, 3):  # the gap is before or after the place where 3 should be
        assert compared(rows, holes=[rows[place].entry_id], faults=[fault]).lost == 1
    early = Fault(SECOND, 2 * SECOND)  # over before 3 was published
    assert compared(rows, holes=[rows[1].entry_id], faults=[early]).lost == 1
    assert compared(rows, holes=[], faults=[fault]).lost == 1


def test_what_is_missing_at_either_end_is_undeliverable_by_the_same_rule() -> None:
    rows, fault = stored(2, 3, 4), Fault(0, 9 * SECOND)
    assert compared(rows, holes=[(0, 0), rows[2].entry_id], faults=[fault]).undeliverable == 2


def test_a_number_in_two_rows_is_duplicated() -> None:
    assert compared(stored(1, 2, 3, 3, 4, 5)).duplicated == 1


def test_rows_out_of_order_are_seen_in_the_table_and_on_the_page() -> None:
    assert compared(stored(1, 3, 2, 4, 5)).reordered == 2


def test_a_tick_that_the_page_was_told_to_miss_is_conflated() -> None:
    rows = stored(1, 2, 3, 4, 5)
    totals = compared(rows, [(rows[:2], 0), (rows[4:], 2)])
    assert (totals.conflated, totals.differences) == (2, [])


def test_a_tick_that_the_page_missed_without_a_word_is_lost() -> None:
    rows = stored(1, 2, 3, 4, 5)
    assert compared(rows, [(rows[:2], 0), (rows[3:], 0)]).lost == 1


def test_what_another_forwarder_skips_of_a_dead_ones_may_be_missing_and_no_more() -> None:
    rows = stored(1, 2, 3, 4, 5)
    late = compared(rows, [([rows[0], *rows[3:]], 0), (rows[2:3], 1)])
    assert (late.conflated, late.differences) == (1, [])
    assert compared(rows, [(rows[3:], 0), (rows[2:3], 1)]).lost == 1


def test_a_tick_that_the_page_has_twice_or_late_is_not_shown_again() -> None:
    rows = stored(1, 2, 3, 4, 5)
    assert compared(rows, [(rows, 0), (rows[:3], 0)]).differences == []


def test_a_seed_always_draws_the_same_and_every_kind() -> None:
    kinds = list(faults())
    once, again = (draw(kinds, 99, Random(3)) for _ in range(2))  # noqa: S311 - no secrets
    assert once == again
    assert set(once[: len(kinds)]) == set(kinds)
    assert choose("kill:writer,pause:r*") == ["kill:writer", "pause:redis"]


def test_kinds_keep_their_places_or_a_seed_would_draw_others() -> None:
    kinds = list(faults())
    places = [kinds.index(kind) for kind in ("kill:bridge", "fast:postgres", "cut:bridge-redis")]
    assert places == [0, 45, 48]
    assert set(kinds) - set(choose(None, short=True)) == {
        *NEED_A_RING,
        NEEDS_ROOT,
        *network_faults(),
        *clock_faults(),
    }
    assert not set(choose(None)) & {*NEED_A_RING, NEEDS_ROOT, *clock_faults()}


def test_runs_add_up_and_a_seed_counts_once() -> None:
    first = Outcome(1, Counter({"kill:api": 2}), 1.26, Totals(ticks=10))
    second = Outcome(2, Counter({"kill:redis": 1}), 0.5, Totals(ticks=1200, conflated=3))
    record = merge(merge(read(ROOT / "nowhere"), first), second)
    assert record["faults"] == {"kill:api": 2, "kill:redis": 1}
    assert (record["ticks"], record["conflated"], record["seeds"]) == (1210, 3, [1, 2])
    assert table(record).endswith("| 3 | 1,210 | 0 | 0 | 0 | 1.3 s |")
    with pytest.raises(SystemExit, match="recorded already"):
        merge(record, first)


def test_readme_shows_what_was_recorded() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition(START)[2].partition(END)[0].strip()
    assert shown == (table(read(RESULT)) if RESULT.exists() else "")
