"""Million: from unit costs to machines; run as a module it fills the tables of docs/million.md."""

import re
import sys
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from bench import simulation, unit_costs
from bench.plan import Plan
from bench.report import PLAIN
from bench.simulation import BEHIND, EVENTS, HANDS, HELD, LOADS, PLANNED, READERS, WELL
from bench.unit_costs import UnitCosts
from local.instance import ROOT

PAGE = ROOT / "docs" / "million.md"
RATES = (10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000)  # messages a second
SHARE = 0.6  # of a core that is planned for; the rest is for bursts and for catching up
PRIMARY_CORES = 8  # of a PostgreSQL
OUTAGE = 600  # seconds of messages that Redis is to have room for
FLUSH = 7  # seconds for which a message is in the stream on a good day
MEGA, GIGA = 1e6, 1e9
SECONDS_A_DAY = 86_400
TABLE = re.compile(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", re.DOTALL)

Row = tuple[str, float]


def tables(costs: UnitCosts) -> dict[str, str]:
    """By the mark that stands around each in the page."""
    return {"costs": _costs(costs), "plan": _plan(costs), "lag": _lag(costs)}


def filled(text: str, found: dict[str, str]) -> str:
    """The page with these tables."""
    return TABLE.sub(lambda old: f"<!-- {old[1]} -->\n{found[old[1]]}\n<!-- /{old[1]} -->", text)


def processes(costs: UnitCosts, rate: float) -> dict[str, int]:
    """How many of each; a process has one core, and each shard its own of ours."""
    shards = _cores(costs.cpu["redis"], rate)
    each = rate / shards
    bridges = 2 * shards * _cores(costs.cpu["bridge"], each)
    ours = {name: shards * _cores(costs.cpu[name], each) for name in ("forwarder", "writer")}
    postgres = _cores(costs.cpu["postgres"], rate)
    return {
        "shards, each a Redis": shards,
        "bridges, two a shard": bridges,
        "forwarders": ours["forwarder"],
        "writers": ours["writer"],
        "cores of each Centrifugo node, which all get every publication": _cores(
            costs.cpu["centrifugo"], rate
        ),
        "cores of PostgreSQL": postgres,
        f"primaries of {PRIMARY_CORES} cores": ceil(postgres / PRIMARY_CORES),
    }


def _cores(us: float, rate: float) -> int:
    return max(1, ceil(rate * us / (SHARE * 1e6)))


def _traffic(costs: UnitCosts, rate: float) -> Iterator[Row]:
    yield "Redis, MB on a good day", rate * FLUSH * costs.kept / MEGA
    yield "Redis, GB after ten minutes without readers", rate * OUTAGE * costs.kept / GIGA
    yield "Redis's logs, MB/s", rate * costs.redis_log / MEGA
    yield "PostgreSQL's log, MB/s", rate * costs.postgres_log / MEGA
    yield "tables, GB a day", rate * SECONDS_A_DAY * costs.row / GIGA
    for hop, size in costs.wires.items():
        yield f"{hop}, MB/s", rate * size / MEGA


def _costs(costs: UnitCosts) -> str:
    """Two columns."""
    lines = [(f"{name}, µs of CPU", us) for name, us in costs.cpu.items()]
    lines += [("kept in Redis, bytes", costs.kept), ("Redis's log, bytes", costs.redis_log)]
    lines += [("table and index, bytes", costs.row)]
    lines += [("PostgreSQL's log, bytes", costs.postgres_log)]
    lines += [(f"{hop}, bytes", size) for hop, size in costs.wires.items()]
    lines += [("a core full of Redis, messages/s", costs.shard_limit)]
    rows = [f"| {name} | {_shown(value)} |" for name, value in lines]
    return "\n".join(["| one message | |", "|---|---:|", *rows])


def _plan(costs: UnitCosts) -> str:
    """A column for each rate."""
    columns = [{**processes(costs, rate), **dict(_traffic(costs, rate))} for rate in RATES]
    head = f"| messages/s | {' | '.join(f'{rate:,}' for rate in RATES)} |"
    rows = [
        f"| {name} | {' | '.join(_shown(column[name]) for column in columns)} |"
        for name in columns[0]
    ]
    return "\n".join([head, "|---|" + "---:|" * len(RATES), *rows])


def _lag(costs: UnitCosts) -> str:
    """A row for each event."""
    figures = simulation.simulated(costs).figures
    planned = LOADS.index(PLANNED)
    heads = [f"{name}, s behind" for name in READERS]
    heads += [f"s until all is well, at {load} %" for load in LOADS]
    heads += ["a bridge holds", "Redis holds, MB"]
    lines = [
        f"| at {PLANNED} % of Redis's core | {' | '.join(heads)} |",
        "|---" + "|---:" * 8 + "|",
    ]
    for event in EVENTS:
        told = [figures[f"{event}: {each}"] for each in (BEHIND[0], BEHIND[1], WELL, HANDS, HELD)]
        cells = [told[0][planned], told[1][planned], *told[2], told[3][planned], told[4][planned]]
        lines.append(f"| {event} | {' | '.join(map(_shown, cells))} |")
    return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if isinstance(value, int) or value >= PLAIN else f"{value:.3g}"


def main(page: Path = PAGE) -> None:
    costs = unit_costs.read()
    page.write_text(filled(page.read_text(), tables(costs)))
    for name, text in simulation.run(Plan()).charts.items():
        page.with_name(name).write_text(text)
    sys.stderr.write(f"{page.relative_to(ROOT)} is as docs/bench.json has it\n")


if __name__ == "__main__":
    main()
