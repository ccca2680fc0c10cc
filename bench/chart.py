"""Chart: lines over sizes or over time, as an SVG that can be read on light and dark pages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle
from math import ceil, floor, log10

WIDTH, HEIGHT = 780, 300  # of a panel, px
LEFT, RIGHT, TOP, BOTTOM = 80, 600, 40, 245  # of its frame; beside it stand the lines' names
GAP, STEPS = 15, 5  # px between two names; at most, of a linear axis
# Eight that differ in hue, each of a middle lightness: 3:1 against white and near-black.
COLOURS = ("#2f7fd6", "#d9632a", "#1f9a74", "#b04fb0", "#a58400", "#d6447c", "#7a7fd0", "#7d8590")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:14px}"
    ".page{fill:#ffffff}.frame{fill:none;stroke:#8b949e}.grid{stroke:#8b949e;stroke-opacity:.3}"
    "polyline{fill:none;stroke-width:2;stroke-linejoin:round}.name{stroke-opacity:.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}}"
)

Point = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """Some lines over one axis; `x` and `y` say what and in which unit."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[Point]]
    is_log: bool = True  # along x; y always begins at zero


def draw(*panels: Panel) -> str:
    """One below the other."""
    height = HEIGHT * len(panels)
    places = [f'<g transform="translate(0 {HEIGHT * n})">' for n in range(len(panels))]
    parts = "".join(f"{g}{_drawn(each)}</g>\n" for g, each in zip(places, panels, strict=True))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" role="img"><title>{escape(panels[0].title)}</title>'
        f'<style>{STYLE}</style><rect class="page" width="{WIDTH}" height="{height}"/>\n'
        f"{parts}</svg>\n"
    )


def shares(values: Iterable[float], *, is_log: bool) -> dict[float, float]:
    """How far along an axis each is, 0 to 1; a log axis has zero a decade before the least."""
    found = {value: value for value in values}
    if is_log:
        least = min((value for value in found if value), default=1.0)
        found = {value: log10(value or least / 10) for value in found}
    low = min(found.values())
    width = max(found.values()) - low
    return {value: (place - low) / width if width else 0.5 for value, place in found.items()}


def steps(highest: float) -> list[float]:
    """Round numbers from zero to no less than the highest."""
    rough = highest / STEPS or 1.0
    power = 10.0 ** floor(log10(rough))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough)
    return [step * number for number in range(max(1, ceil(highest / step)) + 1)]


def _drawn(panel: Panel) -> str:
    points = [point for line in panel.lines.values() for point in line]
    xs = sorted({x for x, _ in points})
    x_marks = xs if panel.is_log else steps(xs[-1])
    y_marks = steps(max(y for _, y in points))
    across = shares([*xs, *x_marks], is_log=panel.is_log)
    at_x = {x: LEFT + 12 + share * (RIGHT - LEFT - 24) for x, share in across.items()}
    ys = [*y_marks, *(y for _, y in points)]
    at_y = {y: BOTTOM - y / y_marks[-1] * (BOTTOM - TOP) for y in ys}
    placed = {name: [(at_x[x], at_y[y]) for x, y in line] for name, line in panel.lines.items()}
    levels = _apart({name: places[-1][1] for name, places in placed.items()})
    middle = (TOP + BOTTOM) / 2
    drawn = [
        _text(LEFT, TOP - 15, panel.title, "start", ' class="title"'),
        f'<path class="frame" d="M{LEFT} {TOP}H{RIGHT}V{BOTTOM}H{LEFT}Z"/>',
        *(f'<path class="grid" d="M{LEFT} {at_y[y]:.1f}H{RIGHT}"/>' for y in y_marks),
        *(_text(LEFT - 8, at_y[y] + 4, _shown(y), "end") for y in y_marks),
        *(_text(at_x[x], BOTTOM + 18, _shown(x), "middle") for x in x_marks),
        _text((LEFT + RIGHT) / 2, BOTTOM + 38, panel.x, "middle"),
        _text(18, middle, panel.y, "middle", f' transform="rotate(-90 18 {middle:g})"'),
    ]
    for (name, places), colour in zip(placed.items(), cycle(COLOURS), strict=False):
        drawn += _line(name, places, levels[name], colour)
    return "\n".join(drawn)


def _line(name: str, places: Sequence[Point], level: float, colour: str) -> list[str]:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    return [
        f'<polyline stroke="{colour}" points="{joined}"/>',
        f'<path class="name" stroke="{colour}" d="M{x:.1f} {y:.1f}L{RIGHT + 12} {level:.1f}"/>',
        _text(RIGHT + 18, level + 4, name, "start"),
    ]


def _apart(ends: Mapping[str, float]) -> dict[str, float]:
    """Levels for the lines' names: beside their ends, but none on another."""
    names = sorted(ends, key=lambda name: ends[name])
    found: dict[str, float] = {}
    above: float = TOP - GAP
    for number, name in enumerate(names):
        lowest = BOTTOM - (len(names) - 1 - number) * GAP
        above = found[name] = max(above + GAP, min(ends[name], lowest))
    return found


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"
