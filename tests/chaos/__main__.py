"""make chaos: break the running system on purpose, and count every tick."""

import argparse
import asyncio
import signal
import sys
from fnmatch import fnmatch
from pathlib import Path

from tests.chaos.faults import NEED_A_RING, faults
from tests.chaos.record import merge, read, write
from tests.chaos.stack import Stack
from tests.chaos.trial import Outcome, Trial

SHORT_SEED = 7
HARD_SECONDS = 170.0  # of the short version: then it stops by itself and compares


def main() -> int:
    arguments = parse()
    kinds = choose(arguments.faults)
    if arguments.list:
        say("\n".join(faults()))
        return 0
    cycles = len(kinds) if arguments.short else arguments.cycles
    outcome = Outcome(SHORT_SEED if arguments.short else arguments.seed)
    limit = HARD_SECONDS if arguments.short else None
    asyncio.run(trial(outcome, kinds, cycles, arguments.rate, limit))
    totals = outcome.totals
    say(
        f"seed {outcome.seed}: {outcome.faults.total()} faults, {totals.ticks} ticks,"
        f" {totals.lost} lost, {totals.duplicated} duplicated, {totals.reordered} reordered,"
        f" {totals.dead_letters} dead letters, {totals.undeliverable} undeliverable,"
        f" {totals.conflated} conflated, longest recovery {outcome.longest_recovery_s:.1f} s"
    )
    if totals.differences:
        say("\n".join(["FAILED:", *totals.differences]))
        return 1
    if arguments.result:
        write(arguments.result, merge(read(arguments.result), outcome))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what decides all that is random")
    parser.add_argument("--cycles", type=int, default=100, help="how many faults")
    parser.add_argument("--rate", type=int, default=1000, help="messages a second")
    parser.add_argument(
        "--faults", help="kinds, as kill:writer,freeze:*; without: all but flushall and cut-aof"
    )
    parser.add_argument("--short", action="store_true", help="each kind once, below 3 minutes")
    parser.add_argument("--list", action="store_true", help="show the kinds of faults, and end")
    parser.add_argument("--result", type=Path, help="file to add this run to, if it is good")
    return parser.parse_args()


def choose(patterns: str | None) -> list[str]:
    known = list(faults())
    if not patterns:
        return [kind for kind in known if kind not in NEED_A_RING]
    chosen = [kind for kind in known if any(fnmatch(kind, p) for p in patterns.split(","))]
    if not chosen:
        sys.exit(f"no fault is called so: {patterns}; --list shows them")
    return chosen


async def trial(
    outcome: Outcome, kinds: list[str], cycles: int, rate: int, limit: float | None
) -> None:
    """Ctrl-C ends the faults; the second one ends it all."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, ask)
    if limit:
        loop.call_later(limit, stop.set)
    async with Stack() as stack:
        say(f"seed {outcome.seed}: {cycles} faults of {len(kinds)} kinds, {stack.instance.data}")
        await Trial(stack, outcome, stop, say).run(kinds, cycles, rate)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a program's output


if __name__ == "__main__":
    sys.exit(main())
