"""Dashboards and alert rules as files, and their SQL as Grafana sends it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from tests.services import ROOT

GRAFANA = ROOT / "config" / "grafana"
PROVISIONING = GRAFANA / "provisioning"
RULES = PROVISIONING / "alerting" / "rules.yaml"
MACRO = re.compile(r"\$__(\w+)\(([^)]*)\)")
VARIABLE = re.compile(r"\$\{?(\w+)\}?")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Query:
    """One target of a panel, of an annotation or of an alert rule."""

    place: str
    format: str
    sql: str
    interval: str | None = None
    repeated_by: str | None = None


@dataclass(frozen=True)
class Range:
    """What a viewer looks at, and the step that follows from it."""

    since: datetime
    until: datetime
    interval: str

    @property
    def step(self) -> float:
        return seconds(self.interval)


def seconds(interval: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", interval).groups()  # type: ignore[union-attr]  # None is a typo
    return int(number) * SECONDS[unit]


def read(path: str) -> Any:
    """A file below config/grafana/provisioning."""
    return yaml.safe_load((PROVISIONING / path).read_text())


def dashboards() -> dict[str, dict[str, Any]]:
    """By file name."""
    found = sorted((GRAFANA / "dashboards").glob("*.json"))
    return {path.name: json.loads(path.read_text()) for path in found}


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Without the headlines of its rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> list[Query]:
    """Of all dashboards, in the order of the page."""
    return [query for dashboard in dashboards().values() for query in _queries(dashboard)]


def rules() -> list[dict[str, Any]]:
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def sent(query: Query, seen: Range, variables: Mapping[str, Sequence[str]]) -> str:
    """The SQL that arrives at the server: variables and macros replaced, as Grafana does it."""
    interval = query.interval or seen.interval
    own = {"__interval": interval, "__interval_ms": str(round(seconds(interval) * 1000))}
    sql = _replaced(in_the_browser(query, variables), own)
    return MACRO.sub(lambda found: _macro(found[1], _arguments(found[2]), seen), sql)


def in_the_browser(query: Query, variables: Mapping[str, Sequence[str]]) -> str:
    """The SQL that a page sends to Grafana: what a viewer has chosen is in it."""
    # Of a variable that may have many values each is quoted, and a repeated panel has one.
    values = {name: ",".join(map(_literal, given)) for name, given in variables.items()}
    if query.repeated_by:
        values[query.repeated_by] = _literal(variables[query.repeated_by][0])
    return _replaced(query.sql, values)


def _replaced(sql: str, values: Mapping[str, str]) -> str:
    return VARIABLE.sub(lambda found: values.get(found[1], found[0]), sql)


def _queries(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    for annotation in dashboard["annotations"]["list"]:
        place = f"{dashboard['uid']}: annotation {annotation['name']}"
        yield Query(place, "annotation", annotation["target"]["rawSql"])
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            place = f"{dashboard['uid']}: {panel['id']} {panel['title']}"
            how = (target["format"], target["rawSql"], panel.get("interval"), panel.get("repeat"))
            yield Query(place, *how)


def _macro(name: str, arguments: list[str], seen: Range) -> str:
    since, until = (
        f"'{moment.isoformat().replace('+00:00', 'Z')}'" for moment in (seen.since, seen.until)
    )
    match name, arguments:
        case "timeFrom", [""]:
            return since
        case "timeTo", [""]:
            return until
        case "timeFilter", [column] if column:
            return f"{column} BETWEEN {since} AND {until}"
        case (("timeGroup" | "timeGroupAlias"), [column, interval]):
            step = f"{seconds(interval.strip(chr(39))):g}"
            group = f"floor(extract(epoch from {column})/{step})*{step}"
            return group if name == "timeGroup" else f'{group} AS "time"'
    raise ValueError(f"Grafana, or this test, knows no $__{name}({', '.join(arguments)})")


def _arguments(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
