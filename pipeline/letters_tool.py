"""LettersTool: --dead-letters, by which a person sees a group's dead letters and lets them go."""

import argparse
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, redirect_stdout
from functools import partial
from typing import Any, Generic, TextIO, TypeVar

from pipeline.dead_letters import DeadLetters, Letter
from pipeline.outage import Outage
from pipeline.settings import Settings
from pipeline.shards import connect_each
from pipeline.stream import Handler

SAID_EVERY = 10_000  # letters
SHOWN = 80  # characters of a message in a list; one that is asked for by its id is shown whole

_LINE = "{:<17} {:<21} {:<45} {} {}\n"
_ENTRY_ID = re.compile(rb"[0-9]{1,19}-[0-9]{1,19}")

Places = Sequence[DeadLetters]
"""Of the group in each shard."""

S = TypeVar("S", bound=Settings)


class LettersTool(Generic[S]):
    """Options of a service's program; `storing` opens what can have the effect of an entry."""

    def __init__(
        self,
        group: str,
        storing: Callable[[S], AbstractAsyncContextManager[Handler]] | None = None,
    ) -> None:
        self._group = group
        self._storing = storing

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        options = parser.add_argument_group("dead letters, instead of the service")
        options.add_argument("--dead-letters", action="store_true", help="list them, oldest first")
        options.add_argument("--reason", metavar="TEXT", help="those whose reason has this text")
        options.add_argument("--id", help="the one with this id, or of the entry with this id")
        then = options.add_mutually_exclusive_group()
        if self._storing:
            text = "store those that can be used now, and remove them"
            then.add_argument("--store", action="store_true", help=text)
        then.add_argument("--drop", action="store_true", help="remove them for good")
        parser.set_defaults(store=False)

    def chosen(
        self, parser: argparse.ArgumentParser, arguments: argparse.Namespace
    ) -> Callable[[S], Coroutine[Any, Any, int]] | None:
        """What was asked for; None is the service itself."""
        if "" in (arguments.reason, arguments.id):
            parser.error("--reason and --id need a text: without them it is all dead letters")
        if arguments.dead_letters:
            return partial(self._run, arguments)
        if arguments.store or arguments.drop or arguments.reason or arguments.id:
            parser.error("--reason, --id, --store and --drop need --dead-letters")
        return None

    async def _run(self, arguments: argparse.Namespace, settings: S) -> int:
        """The exit code: 1 when a server is away; what was done until then stays done."""
        screen = sys.stdout
        opening = self._storing(settings) if arguments.store and self._storing else nullcontext()
        try:
            # Events are for machines: they go where a list that is piped away doesn't have them.
            with redirect_stdout(sys.stderr):
                async with connect_each(settings) as shards, opening as handle:
                    letters = [
                        DeadLetters(redis, self._group, its) for its, redis in shards.values()
                    ]
                    if handle:
                        await _store(letters, arguments, handle, screen)
                    elif arguments.drop:
                        await _drop(letters, arguments, screen)
                    else:
                        await _list(letters, arguments, screen)
        except Outage as outage:
            sys.stderr.write(f"{outage}\n")
            return 1
        except BrokenPipeError:  # `| head` has seen enough; what is buffered has nowhere to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), screen.fileno())
        return 0


async def _list(places: Places, arguments: argparse.Namespace, screen: TextIO) -> None:
    count = 0
    async for _, page in _wanted(places, arguments):
        if not count:
            screen.write(_LINE.format("ID", "ENTRY", "REASON", "CHANNEL", "MESSAGE"))
        screen.writelines(_line(letter, whole=bool(arguments.id)) for letter in page)
        screen.flush()
        count += len(page)
    screen.write(f"{_counted(count)}\n")


async def _store(
    places: Places, arguments: argparse.Namespace, handle: Handler, screen: TextIO
) -> None:
    stored = kept = 0
    async for letters, page in _wanted(places, arguments):
        usable = await _handled(page, handle)
        await letters.remove(usable)  # after the effect; a repeat of that is harmless
        stored += len(usable)
        kept += len(page) - len(usable)
    screen.write(f"{_counted(stored)} stored and removed, {kept} of no use still\n")


async def _drop(places: Places, arguments: argparse.Namespace, screen: TextIO) -> None:
    dropped = 0
    async for letters, page in _wanted(places, arguments):
        await letters.remove(page)
        dropped += len(page)
    screen.write(f"{_counted(dropped)} removed\n")


async def _handled(page: Sequence[Letter], handle: Handler) -> list[Letter]:
    """Those that have had their effect now."""
    fit = [letter for letter in page if _ENTRY_ID.fullmatch(letter.entry[0])]
    try:
        rejected = await handle([letter.entry for letter in fit]) if fit else ()
    except Outage:
        # Refused to the last row, a batch counts as one; but here that may well be what they are.
        rejected = [each for letter in fit for each in await handle([letter.entry])]
    refused = {each.entry for each in rejected}
    return [letter for letter in fit if letter.entry not in refused]


async def _wanted(
    places: Places, arguments: argparse.Namespace
) -> AsyncIterator[tuple[DeadLetters, list[Letter]]]:
    """Pages of those that were asked for; each so many looked at, it says how far it is."""
    seen = 0
    for letters in places:
        async for page in letters.pages():
            if found := [letter for letter in page if _matches(letter, arguments)]:
                yield letters, found
            if (seen + len(page)) // SAID_EVERY > seen // SAID_EVERY:
                sys.stderr.write(f"{seen + len(page):,} looked at\n")
            seen += len(page)


def _matches(letter: Letter, arguments: argparse.Namespace) -> bool:
    ids = (letter.id.decode(), letter.entry[0].decode(errors="replace"))
    return (not arguments.id or arguments.id in ids) and (
        not arguments.reason or arguments.reason.lower() in letter.reason.lower()
    )


def _line(letter: Letter, *, whole: bool) -> str:
    entry_id, channel, message = letter.entry
    shown = repr(message)[1:]
    if len(shown) > SHOWN and not whole:
        shown = f"{shown[:SHOWN]}…"
    reason = "".join(each if each.isprintable() else repr(each)[1:-1] for each in letter.reason)
    place, source = entry_id.decode(errors="replace"), channel.decode(errors="backslashreplace")
    return _LINE.format(letter.id.decode(), place, reason, source or "-", shown)


def _counted(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count:,} dead letters"
