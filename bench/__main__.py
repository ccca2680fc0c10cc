"""bench: a running system, or a server of its own → one table a question; see `--help`"""

import argparse
import asyncio
import importlib
import sys

import uvloop

from bench.plan import Plan
from bench.target import Target

# Modules of this package: a title as docstring, and `async run(plan)` → Markdown.
OF_THE_SYSTEM = ("path",)  # what `make local` has started
BY_THEMSELVES = ("postgres", "history", "candles", "durability")
BENCHES = (*OF_THE_SYSTEM, *BY_THEMSELVES)


def main() -> None:
    modules = {name: importlib.import_module(f"bench.{name}") for name in BENCHES}
    titles = "\n".join(f"  {name:<10} {module.__doc__}" for name, module in modules.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the system that `make local` has started, or a server of its own.",
        epilog=f"benches:\n{titles}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="BENCH", help="default: all of them")
    parser.add_argument("--http-port", type=int, help="default: HTTP_PORT, else 8080")
    parser.add_argument("--rate", type=float, default=5000, help="messages a second")
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHES):
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    plan = Plan(Target.from_environment(given.http_port), given.rate, given.seconds)
    names = given.names or BENCHES
    if set(names) & set(OF_THE_SYSTEM) and not plan.target.answers():
        parser.error(f"nothing answers at {plan.target.http_url}; start it: make local")
    for name in names:
        sys.stderr.write(f"{name}: measuring\n")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            tables = runner.run(modules[name].run(plan))
        sys.stdout.write(f"## {modules[name].__doc__}\n\n{tables}\n\n")


if __name__ == "__main__":
    main()
