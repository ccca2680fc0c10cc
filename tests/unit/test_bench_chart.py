"""The bench's charts, and the slope that a soak is judged by."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from bench.chart import BOTTOM, COLOURS, LEFT, RIGHT, TOP, Panel, Point, draw, shares, steps
from bench.report import Report
from bench.soak import slope

SVG = "{http://www.w3.org/2000/svg}"
LINES = {"bridge & co": [(0, 1.0), (600, 0.5), (60_000, 3.25)], "<redis>": [(0, 3.2), (600, 3.2)]}


def drawn(*panels: Panel) -> ET.Element:
    return ET.fromstring(draw(*panels))  # noqa: S314  # our own text


def places(svg: ET.Element) -> list[list[Point]]:
    """Of each line."""
    lines = [each.attrib["points"].split() for each in svg.iter(f"{SVG}polyline")]
    pairs = [[point.split(",") for point in line] for line in lines]
    return [[(float(x), float(y)) for x, y in line] for line in pairs]


@pytest.mark.parametrize("is_log", [True, False])
def test_a_chart_is_xml_that_names_its_lines_and_units(*, is_log: bool) -> None:
    svg = drawn(Panel("CPU", "stocks", "µs a message", LINES, is_log))
    texts = [each.text for each in svg.iter(f"{SVG}text")]
    assert {"CPU", "stocks", "µs a message", "60,000", *LINES} <= set(texts)


@pytest.mark.parametrize("is_log", [True, False])
@pytest.mark.parametrize("lines", [LINES, {"one": [(6, 0.0)]}, {"none": [(0, 0.0), (9, 0.0)]}])
def test_every_point_is_inside(lines: dict[str, list[Point]], *, is_log: bool) -> None:
    svg = drawn(Panel("", "", "", lines, is_log))
    for line, given in zip(places(svg), lines.values(), strict=True):
        assert len(line) == len(given)
        assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in line)


def test_equal_ratios_are_equally_far_apart_and_zero_is_a_decade_before_the_least() -> None:
    found = shares([0, 6, 600, 60_000], is_log=True)
    assert [found[0], found[60_000]] == [0, 1]
    assert found[60_000] - found[600] == pytest.approx(found[600] - found[6])
    assert found[600] - found[6] == pytest.approx(2 * (found[6] - found[0]))
    svg = drawn(Panel("", "", "", {"a": [(6, 1), (600, 2), (60_000, 4)]}))
    ((first, second, third),) = places(svg)
    assert third[0] - second[0] == pytest.approx(second[0] - first[0], abs=0.2)
    assert BOTTOM - third[1] == pytest.approx(2 * (BOTTOM - second[1]), abs=0.2)


def test_a_linear_axis_is_linear() -> None:
    assert shares([0, 5, 20], is_log=False) == {0: 0, 5: 0.25, 20: 1}


@pytest.mark.parametrize(
    ("highest", "marks"),
    [
        (0, [0, 1]),
        (3.2, [0, 1, 2, 3, 4]),
        (10, [0, 2, 4, 6, 8, 10]),
        (99_000, [0, 20_000, 40_000, 60_000, 80_000, 100_000]),
    ],
)
def test_an_axis_has_round_steps_up_to_its_highest(highest: float, marks: list[float]) -> None:
    assert steps(highest) == marks


def test_no_name_stands_on_another() -> None:
    many = {f"line {number}": [(1, 2.0), (10, 5.0)] for number in range(len(COLOURS) + 2)}
    svg = drawn(Panel("", "", "", many))
    levels = sorted(float(each.attrib["y"]) for each in svg.iter(f"{SVG}text") if each.text in many)
    assert len(levels) == len(many)
    assert all(below - above >= 12 for above, below in pairwise(levels))
    assert levels[-1] <= BOTTOM + 12


def test_panels_stand_one_below_the_other() -> None:
    panel = Panel("", "", "", LINES)
    assert float(drawn(panel, panel).attrib["height"]) == 2 * float(drawn(panel).attrib["height"])


def test_a_panel_has_the_figures_that_match_over_what_grows() -> None:
    measured = Report(grows="stocks")
    for stocks, cost in ((6, 1.5), (600, 2.0)):
        measured.add({"stocks": stocks, "redis, µs": cost, "redis, MB": 9})
    panel = measured.panel("CPU", "µs", "(.*), µs")
    assert panel.lines == {"redis": [(6, 1.5), (600, 2.0)]}
    assert measured.table().splitlines() == [
        "| stocks | 6 | 600 |",
        "|---|---:|---:|",
        "| redis, µs | 1.5 | 2 |",
        "| redis, MB | 9 | 9 |",
    ]


def test_a_slope_is_of_the_second_half() -> None:
    warm_up = [(at, 10.0 * at) for at in range(0, 60, 5)]
    assert slope([*warm_up, *((at, 600.0) for at in range(60, 120, 5))]) == pytest.approx(0)
    leak = [(float(at), 600 + at / 60 + (at % 2) / 50) for at in range(60, 120)]
    assert slope([*((at, 0.0) for at in range(60)), *leak]) == pytest.approx(1, rel=0.01)
