"""The dashboards' JSON against the types that Grafana publishes, by the TypeScript compiler."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.dashboards import dashboards
from tests.node import NODE, npm_ci
from tests.services import ROOT

TYPES = ROOT / "tests" / "grafana"
COMPILER = TYPES / "node_modules" / "typescript" / "bin" / "tsc"
OPTIONS = [
    *("--noEmit", "--strict", "--exactOptionalPropertyTypes", "--skipLibCheck"),
    *("--allowImportingTsExtensions", "--target", "es2022"),
    *("--module", "esnext", "--moduleResolution", "bundler"),
]

Change = Callable[[dict[str, Any]], object]

# Each was made in pipeline.json, whose second panel is a stat and the tenth a time series.
BREAKAGES: dict[str, Change] = {
    "another version": lambda it: it.update(schemaVersion=41),
    "a panel of no known type": lambda it: it["panels"][9].update(type="timeserie"),
    "a key that nobody reads": lambda it: it["panels"][9].update(titel="In and out"),
    "no unit": lambda it: it["panels"][9]["fieldConfig"]["defaults"].pop("unit"),
    "no words for nothing": lambda it: it["panels"][9]["fieldConfig"]["defaults"].pop("noValue"),
    "a style that isn't one": lambda it: it["panels"][9]["fieldConfig"]["defaults"][
        "custom"
    ].update(drawStyle="column"),
    "a place that isn't one": lambda it: it["panels"][9]["options"]["legend"].update(placement="l"),
    "a calculation that is no list": lambda it: it["panels"][1]["options"]["reduceOptions"].update(
        calcs="last"
    ),
    "another data source": lambda it: it["panels"][9]["datasource"].update(uid="other"),
    "a format that isn't one": lambda it: it["panels"][9]["targets"][0].update(format="series"),
}


def complaints(written: dict[str, dict[str, Any]]) -> str:
    """Literals of the declared type: so a key that the type doesn't have is an error too."""
    npm_ci(TYPES)
    folder = TYPES / "node_modules" / ".dashboards"  # the compiler finds packages from there
    folder.mkdir(exist_ok=True)
    program = Path(folder, "check.ts")
    lines = ["import type { OurDashboard } from '../../types.ts';"]
    lines += [
        f"export const dashboard{number}: OurDashboard = {json.dumps(dashboard, indent=1)};"
        for number, dashboard in enumerate(written.values())
    ]
    program.write_text("\n".join(lines))
    command = [str(NODE), str(COMPILER), *OPTIONS, str(program)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)  # noqa: S603  # our own words
    assert run.stderr == ""
    return run.stdout


def test_the_dashboards_are_what_grafana_reads() -> None:
    assert complaints(dashboards()) == ""


def test_the_types_refuse_what_is_wrong() -> None:
    """All in one run, as each takes the compiler seconds: every copy has its own complaint."""
    broken: dict[str, dict[str, Any]] = {}
    for name, change in BREAKAGES.items():
        broken[name] = dashboards()["pipeline.json"]
        change(broken[name])
    said = complaints(broken)
    assert not [
        name
        for number, name in enumerate(broken)
        if f"dashboard{number}" not in _blamed(said, broken)
    ]


def _blamed(said: str, broken: dict[str, dict[str, Any]]) -> set[str]:
    """Which constants the complaints' line numbers lie in."""
    starts, line = [], 2
    for dashboard in broken.values():
        starts.append(line)
        line += len(json.dumps(dashboard, indent=1).splitlines())
    found = set()
    for text in said.splitlines():
        if ".ts(" in text:
            at = int(text.partition(".ts(")[2].partition(",")[0])
            found.add(f"dashboard{max(n for n, start in enumerate(starts) if start <= at)}")
    return found
