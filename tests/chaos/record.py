"""Record: several good runs as one object in docs/chaos.json, and README's table of it."""

from pathlib import Path
from typing import Any

import orjson

from tests.chaos.trial import Outcome

Record = dict[str, Any]
SUMS = ("ticks", "lost", "duplicated", "reordered", "undeliverable", "conflated")
START, END = "<!-- chaos -->", "<!-- /chaos -->"  # README's table is between them
HEAD = """\
| Faults | Ticks | Lost | Twice | Out of order | Longest recovery |
|---:|---:|---:|---:|---:|---:|"""


def read(path: Path) -> Record:
    """What is recorded so far."""
    if path.exists():
        return dict(orjson.loads(path.read_bytes()))
    return {"faults": {}, **dict.fromkeys(SUMS, 0), "longest_recovery_s": 0.0, "seeds": []}


def merge(record: Record, outcome: Outcome) -> Record:
    """One run more. A seed counts once: the same run again proves nothing new."""
    if outcome.seed in record["seeds"]:
        raise SystemExit(f"seed {outcome.seed} is recorded already")
    kinds = sorted({*record["faults"], *outcome.faults})
    return {
        "faults": {kind: record["faults"].get(kind, 0) + outcome.faults[kind] for kind in kinds},
        **{name: record[name] + getattr(outcome.totals, name) for name in SUMS},
        "longest_recovery_s": round(
            max(record["longest_recovery_s"], outcome.longest_recovery_s), 1
        ),
        "seeds": [*record["seeds"], outcome.seed],
    }


def write(path: Path, record: Record) -> None:
    path.write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def table(record: Record) -> str:
    """As README shows it between its markers."""
    numbers = [sum(record["faults"].values())]
    numbers += [record[name] for name in ("ticks", "lost", "duplicated", "reordered")]
    cells = [*(f"{number:,}" for number in numbers), f"{record['longest_recovery_s']} s"]
    return f"{HEAD}\n| {' | '.join(cells)} |"
