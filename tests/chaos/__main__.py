"""make chaos: break the running system on purpose, and count every tick."""

import argparse
import asyncio
import signal
import sys
from fnmatch import fnmatch
from pathlib import Path

from tests.chaos.clock_faults import clock_faults
from tests.chaos.disk import can_mount
from tests.chaos.faults import NEED_A_RING, NEEDS_ROOT, faults
from tests.chaos.network_faults import network_faults
from tests.chaos.record import merge, read, write
from tests.chaos.stack import Stack
from tests.chaos.trial import Outcome, Trial
from tests.clocks import can_step

SHORT_SEED = 7
INTERRUPTED = 130
HARD_SECONDS = 170.0  # of the short version: then it stops by itself and compares


def main() -> int:
    arguments = parse()
    if arguments.list:
        say("\n".join(faults()))
        return 0
    kinds = choose(arguments.faults, short=arguments.short)
    if NEEDS_ROOT in kinds and not can_mount():
        say(f"{NEEDS_ROOT} is left out: only root can mount the small disk that it fills")
        kinds.remove(NEEDS_ROOT)
    if not can_step() and (clocks := [kind for kind in kinds if kind in clock_faults()]):
        say(f"{', '.join(clocks)}: left out, no libfaketime that works here steps a clock")
        kinds = [kind for kind in kinds if kind not in clocks]
    if not kinds:
        return 1
    outcome = Outcome(SHORT_SEED if arguments.short else arguments.seed)
    try:
        asyncio.run(trial(outcome, kinds, arguments))
    except asyncio.CancelledError:
        say("\n".join([f"{line(outcome)}; ENDED EARLY, not compared", *outcome.totals.differences]))
        return INTERRUPTED
    say(line(outcome))
    if outcome.totals.differences:
        say("\n".join(["FAILED:", *outcome.totals.differences]))
        return 1
    if arguments.result:
        write(arguments.result, merge(read(arguments.result), outcome))
    return 0


def line(outcome: Outcome) -> str:
    totals = outcome.totals
    return (
        f"seed {outcome.seed}: {outcome.faults.total()} faults, {totals.ticks} ticks,"
        f" {totals.lost} lost, {totals.duplicated} duplicated, {totals.reordered} reordered,"
        f" {totals.dead_letters} dead letters, {totals.undeliverable} undeliverable,"
        f" {totals.conflated} conflated, longest recovery {outcome.longest_recovery_s:.1f} s"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what decides all that is random")
    parser.add_argument("--cycles", type=int, default=100, help="how many faults")
    parser.add_argument("--rate", type=int, default=1000, help="messages a second")
    parser.add_argument(
        "--faults",
        help="kinds, as kill:writer,freeze:*; without: all but flushall, cut-aof, full and clock",
    )
    parser.add_argument(
        "--short", action="store_true", help="each kind but the network's once, below 3 minutes"
    )
    parser.add_argument("--bridges", type=int, default=1, help="how many; one of them appends")
    parser.add_argument("--list", action="store_true", help="show the kinds of faults, and end")
    parser.add_argument("--result", type=Path, help="file to add this run to, if it is good")
    return parser.parse_args()


def choose(patterns: str | None, *, short: bool = False) -> list[str]:
    known = list(faults())
    if not patterns:
        left_out = {*NEED_A_RING, NEEDS_ROOT, *clock_faults(), *(network_faults() if short else ())}
        return [kind for kind in known if kind not in left_out]
    chosen = [kind for kind in known if any(fnmatch(kind, p) for p in patterns.split(","))]
    if not chosen:
        sys.exit(f"no fault is called so: {patterns}; --list shows them")
    return chosen


async def trial(outcome: Outcome, kinds: list[str], arguments: argparse.Namespace) -> None:
    """Ctrl-C ends the faults; the second one, or SIGTERM, ends it all."""
    cycles = len(kinds) if arguments.short else arguments.cycles
    stop = asyncio.Event()
    listen(stop)
    if arguments.short:
        asyncio.get_running_loop().call_later(HARD_SECONDS, stop.set)
    small_disk, own_clocks = NEEDS_ROOT in kinds, bool(clock_faults().keys() & kinds)
    async with Stack(arguments.bridges, small_disk=small_disk, own_clocks=own_clocks) as stack:
        say(f"seed {outcome.seed}: {cycles} faults of {len(kinds)} kinds, {stack.instance.data}")
        await Trial(stack, outcome, stop, say).run(kinds, cycles, arguments.rate)


def listen(stop: asyncio.Event) -> None:
    loop, everything = asyncio.get_running_loop(), asyncio.current_task()
    assert everything
    cancel_once = iter([everything.cancel])

    def end() -> None:
        next(cancel_once, lambda: False)()  # or the end itself would be cut short

    def ask() -> None:
        stop.set()
        loop.add_signal_handler(signal.SIGINT, end)

    loop.add_signal_handler(signal.SIGINT, ask)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a program's output


if __name__ == "__main__":
    sys.exit(main())
