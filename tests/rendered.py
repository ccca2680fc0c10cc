"""rendered: the Pipeline dashboard as tables, from what its panels' SQL returns.

python -m tests.rendered postgresql://grafana:…@host/pipeline [MINUTES [END]] >docs/what-you-see.md
"""

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from tests.dashboards import Query, Range, dashboards, queries
from tests.panels import Grafana, ask

STEPS = 10  # columns, about
Lines = dict[str, dict[datetime, float]]
"""By the name of a line in the panel, its values."""


async def main(dsn: str, minutes: str = "10", end: str = "") -> None:
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    step = max(10, int(float(minutes) * 60 / STEPS / 10) * 10)
    seen = Range(until - timedelta(minutes=float(minutes)), until, f"{step}s")
    connection = await asyncpg.connect(dsn)
    try:
        for panel in dashboards()["pipeline.json"]["panels"]:
            if panel["type"] == "row":
                sys.stdout.write(f"\n## {panel['title']}\n")
            elif "targets" in panel:
                await render(connection, panel, seen)
    finally:
        await connection.close()


async def render(connection: Grafana, panel: dict[str, Any], seen: Range) -> None:
    place = f"pipeline: {panel['id']} {panel['title']}"
    [query] = [query for query in queries() if query.place == place]
    _, found = await ask(connection, query, seen, {})
    shown_of = panel["fieldConfig"]["defaults"]
    sys.stdout.write(f"\n**{panel['title']}**. {panel['description']}\n\n")
    lines = table(query, found, shown_of["unit"]) if found else [shown_of["noValue"]]
    sys.stdout.writelines(f"{line}\n" for line in lines)


def table(query: Query, found: list[asyncpg.Record], unit: str) -> Iterator[str]:
    """A row for each line of the panel, a column for each step."""
    if query.format == "table":
        yield "| | " + " | ".join(row["metric"] for row in found) + " |"
        yield "|---|" + "---:|" * len(found)
        yield "| now | " + " | ".join(shown(row["value"], unit) for row in found) + " |"
        return
    lines: Lines = {}
    for row in found:
        lines.setdefault(row["metric"], {})[moment(row["time"])] = row["value"]
    times = sorted({time for line in lines.values() for time in line})
    yield "| | " + " | ".join(f"{time:%H:%M:%S}" for time in times) + " |"
    yield "|---|" + "---:|" * len(times)
    for name, line in lines.items():
        yield f"| {name} | " + " | ".join(shown(line.get(time), unit) for time in times) + " |"


def moment(time: Any) -> datetime:
    return time if isinstance(time, datetime) else datetime.fromtimestamp(float(time), UTC)


def shown(value: float | None, unit: str) -> str:
    """As Grafana would, roughly."""
    if value is None:
        return ""
    if unit == "s" and 0 < value < 1:
        return f"{value * 1000:.3g} ms"
    if unit == "s":
        return f"{value:.3g} s"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
