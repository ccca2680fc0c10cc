"""bench: servers and services of its own → one table a question; see `--help`"""

import argparse
import asyncio
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType

import uvloop

from bench import report
from bench.plan import Plan
from local.instance import ROOT

# Modules of this package with a title as docstring. REPORTING: `run(plan)` → Report. OTHERS: `async
# run(plan)` → Markdown.
STAGES = ("bridge", "writer", "forwarder", "path")
GROWTH = ("growth_stocks", "growth_clients", "growth_backlog", "growth_table")
REPORTING = (*STAGES, *GROWTH, "soak", "cluster", "page", "sizes", "simulation")
OTHERS = ("postgres", "history", "candles", "durability", "feeds")


def main() -> None:
    modules = {name: importlib.import_module(f"bench.{name}") for name in (*REPORTING, *OTHERS)}
    given = _arguments(modules)
    plan = Plan(given.runs, given.rate, given.seconds, given.entries, given.sizes, given.leave_out)
    faults = []
    for name in given.names:
        sys.stderr.write(f"{name}: measuring\n")
        if name in REPORTING:
            conditions = report.conditions()
            measured = modules[name].run(plan)
            text = f"{measured.table()}\n\n{report.told(conditions)}"
            faults += measured.faults
            if given.result and not measured.faults:
                report.merge(given.result, name, conditions, measured)
        else:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                text = runner.run(modules[name].run(plan))
        sys.stdout.write(f"## {modules[name].__doc__}\n\n{text}\n\n")
        sys.stdout.flush()
    sys.exit(1 if faults else 0)


def _arguments(modules: dict[str, ModuleType]) -> argparse.Namespace:
    titles = "\n".join(f"  {name:<14} {module.__doc__}" for name, module in modules.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures each stage of the path alone, then all of it, on servers of its own.",
        epilog=f"benches:\n{titles}\n\n`growth` is all four of growth_*."
        " Exit code 1: something was lost, twice, or out of order.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stages = f"default: {', '.join(STAGES)}"
    parser.add_argument("names", nargs="*", metavar="BENCH", help=stages)
    plan = inspect.signature(Plan).parameters
    parser.add_argument("--runs", type=int, default=plan["runs"].default)
    parser.add_argument("--rate", type=int, help="messages a second; default: step up")
    parser.add_argument("--seconds", type=float, help="of load at a rate; default: the stage's own")
    entries = "of a backlog (default: %(default)s)"
    parser.add_argument("--entries", type=int, default=plan["entries"].default, help=entries)
    sizes = "of what grows, such as 6,600,60000; default: the bench's own"
    parser.add_argument("--sizes", type=_numbers, metavar="N,N,…", help=sizes)
    out = "don't publish the Nth message, to see that it is missed"
    parser.add_argument("--leave-out", type=int, metavar="N", help=out)
    record = report.RECORD.relative_to(ROOT)
    text = f"merge figures into this file, such as {record}; charts go beside it"
    parser.add_argument("--result", type=Path, metavar="PATH", help=text)
    given = parser.parse_args()
    given.names = [
        each for name in given.names or STAGES for each in (GROWTH if name == "growth" else (name,))
    ]
    if unknown := set(given.names) - modules.keys():
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    return given


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    main()
