"""What the bench judges and reports by: running numbers, and figures of several runs."""

from itertools import chain
from pathlib import Path

import orjson
import pytest

from bench import report
from bench.load import stock_name
from bench.numbers import Numbers, said
from bench.report import Report
from bench.steps import Step, highest

A, B = stock_name(0), stock_name(1)
ALL = [(A, 1), (B, 1), (A, 2), (B, 2), (A, 3)]


@pytest.mark.parametrize(
    ("ticks", "wrong"),
    [
        (ALL, []),
        (ALL[:-1], ["1 missing"]),
        (ALL[1:], ["1 missing"]),
        ([ALL[0], *ALL[2:]], ["1 missing"]),
        ([], ["5 missing"]),
        ([*ALL, ALL[2]], ["1 there twice"]),
        ([ALL[0], ALL[0], *ALL[2:]], ["1 missing", "1 there twice"]),
        ([ALL[2], ALL[0], *ALL[3:], ALL[1]], ["2 out of order"]),
    ],
)
def test_what_is_missing_twice_or_late_is_known(
    ticks: list[tuple[str, int]], wrong: list[str]
) -> None:
    numbers = Numbers()
    for each in ticks:
        numbers.see([each])
    assert said(numbers.missing(len(ALL), 2), numbers.twice, numbers.late) == wrong
    assert numbers.seen == len(ticks)


def test_stocks_that_never_came_are_missing_in_whole() -> None:
    numbers = Numbers()
    numbers.see(chain(ALL[:1]))
    assert numbers.missing(600, 600) == 599


def test_a_table_has_the_least_the_middle_and_the_most_of_all_runs() -> None:
    measured = Report()
    for value in (3.0, 1000.0, 2.5):
        measured.add({"a thing": value})
    assert measured.table().splitlines()[2] == "| a thing | 2.5 | 3 | 1,000 |"


def test_a_stage_replaces_its_own_record_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    for stage, value in (("bridge", 1.0), ("writer", 2.0), ("bridge", 3.0)):
        measured = Report()
        measured.add({"rate": value})
        report.merge(path, stage, {"cores": 2}, measured)
    assert orjson.loads(path.read_bytes()) == {
        "bridge": {"conditions": {"cores": 2}, "figures": {"rate": [3.0]}},
        "writer": {"conditions": {"cores": 2}, "figures": {"rate": [2.0]}},
    }


@pytest.mark.parametrize(
    ("limit", "near", "found", "tried"),
    [
        (25, 0, 20, [10, 20, 30, 30]),
        (99, 0, 40, [10, 20, 30, 40]),
        (99, 40, 40, [40]),
        (25, 20, 20, [20, 30, 30]),
        (25, 35, 20, [30, 30, 20]),
        (15, 40, 10, [40, 40, 30, 30, 20, 20, 10]),
        (5, 0, 0, [10, 10]),
        (5, 20, 0, [20, 20, 10, 10]),
    ],
)
def test_the_highest_rate_is_looked_for_from_the_last_ones_place(
    limit: int, near: int, found: int, tried: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    measured = []

    def measure(rate: int) -> Step:
        measured.append(rate)
        return Step(rate, rate <= limit, {})

    assert highest([10, 20, 30, 40], measure, near).sustained == found
    assert measured == tried
    assert ("it may be more" in capsys.readouterr().err) == (found == 40)


def test_only_one_of_several_rates_has_a_second_try() -> None:
    tries = iter([True, False, True, False, False])

    def measure(rate: int) -> Step:
        return Step(rate, next(tries), {})

    assert highest([10, 20, 30], measure).sustained == 20
    tries = iter([False, True])
    assert highest([10], measure).sustained == 0
