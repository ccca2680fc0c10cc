"""PostgreSQL's settings: its own against those of .env, and others that are often advised"""

import os
import statistics
import sys
from collections.abc import Mapping, Sequence

from bench import trial
from bench.database import ours
from bench.plan import Plan

PAIRS = 3
PLAIN = 100  # from here on no decimals
OWN, OF_ENV = "PostgreSQL's own", "of .env"

# Each alone, all others PostgreSQL's own, once: what matters is plain, what isn't plain doesn't.
ADVISED_TO_WRITE = (
    {"wal_compression": "pglz"},
    {"checkpoint_timeout": "15min"},
    {"shared_buffers": "256MB"},
    {"synchronous_commit": "off"},
    {"wal_buffers": "16MB"},
)
ADVISED_TO_READ = (
    {"random_page_cost": "1.1"},
    {"effective_cache_size": "768MB"},
    {"shared_buffers": "256MB"},
    {"effective_io_concurrency": "200"},
    {"io_method": "sync"},
    {"max_parallel_workers_per_gather": "0"},
)

Row = tuple[float, ...]
Rows = dict[str, Row]


async def run(_: Plan) -> str:
    """On a server of its own, in this folder; what runs beside it is in the figures too."""
    ground = await trial.prepare()
    try:
        reading = {OWN: await _read({}), OF_ENV: await _read(ours())}
        reading |= {_name(each): await _read(each) for each in ADVISED_TO_READ}
        writing = await _pairs(ground)
        writing |= {_name(each): await _write(ground, each) for each in ADVISED_TO_WRITE}
    finally:
        ground.database.remove()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    tables = f"{_table(trial.WRITING, writing)}\n\n{_table(trial.READING, reading)}"
    return f"{tables}\n\nLoad average at the end: {load}, this bench's own with it."


async def _pairs(ground: trial.Ground) -> Rows:
    """One after the other, so that both have the same neighbours; their medians."""
    runs: dict[str, list[Row]] = {OWN: [], OF_ENV: []}
    for _pair in range(PAIRS):
        runs[OWN].append(await _write(ground, {}))
        runs[OF_ENV].append(await _write(ground, ours()))
    return {
        name: tuple(map(statistics.median, zip(*each, strict=True))) for name, each in runs.items()
    }


async def _write(ground: trial.Ground, settings: Mapping[str, str]) -> Row:
    return _said("written", settings, await trial.write(ground, settings))


async def _read(settings: Mapping[str, str]) -> Row:
    return _said("read", settings, await trial.read(settings))


def _said(what: str, settings: Mapping[str, str], row: Row) -> Row:
    sys.stderr.write(f"{what}, {_name(settings)}: {_line(row)}\n")
    return row


def _name(settings: Mapping[str, str]) -> str:
    few = [f"{name} {value}" for name, value in settings.items()]
    return few[0] if len(few) == 1 else f"{len(few)} settings"


def _table(heads: Sequence[str], rows: Rows) -> str:
    lines = [f"| settings | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    return "\n".join([*lines, *(f"| {name} | {_line(row)} |" for name, row in rows.items())])


def _line(row: Row) -> str:
    return " | ".join(f"{value:,.0f}" if value >= PLAIN else f"{value:.3g}" for value in row)
