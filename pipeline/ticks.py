"""Ticks: a batch of stream entries column by column, as a column needs no Python for each tick."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from pipeline.stream import Entry, Rejected
from pipeline.tick import (
    PRICE,
    SEQUENCES,
    TIME_BITS,
    InvalidTick,
    checked_name,
    parse_message,
    unpack_id,
)

MATCHED = 1_000  # at once: of each line the expression keeps half a kB until it is through
_LINES = re.compile(rb"(?:[^:\n]+:%b\n)*" % PRICE)


class Ticks(NamedTuple):
    """What is usable of a batch, in its order."""

    entries: Sequence[Entry]
    ids: Sequence[bytes]
    exchanges: Sequence[str]
    stock_names: Sequence[str]
    prices: Sequence[bytes]  # as published: positive JSON numbers
    ms: Sequence[int]  # these two: an entry's id
    sequences: Sequence[int]

    def received_us(self) -> list[int]:
        """The times of receipt, in µs since the epoch, that the ids carry."""
        return [
            ms * 1000 + (sequence >> 10)
            for ms, sequence in zip(self.ms, self.sequences, strict=True)
        ]


def sift(entries: Sequence[Entry]) -> tuple[Ticks, list[Rejected]]:
    """Those that pipeline.tick's functions take one by one, and the others with the reason.

    All at once, at a third of the price; one of them that is invalid, and each is looked at.
    """
    try:
        return _columns(entries), []
    except InvalidTick:
        pass
    usable: list[Entry] = []
    rejected: list[Rejected] = []
    for entry in entries:
        entry_id, channel, message = entry
        try:
            parse_message(message)
            unpack_id(entry_id)
            checked_name(channel)
            usable.append(entry)
        except InvalidTick as fault:
            rejected.append(Rejected(entry, str(fault)))
    return _columns(usable), rejected


def _columns(entries: Sequence[Entry]) -> Ticks:
    """Raises InvalidTick if there is one among them."""
    if not entries:
        return Ticks(*[()] * len(Ticks._fields))
    ids, channels, messages = zip(*entries, strict=True)
    names, prices = _split(messages)
    numbers = orjson.loads(b"[%b]" % b",".join(ids).replace(b"-", b","))
    ms, sequences = numbers[::2], numbers[1::2]
    if max(ms) >> TIME_BITS or max(sequences) >= SEQUENCES:
        raise InvalidTick("an id of them")
    exchanges, stock_names = map(checked_name, channels), map(checked_name, names)
    return Ticks(entries, ids, list(exchanges), list(stock_names), prices, ms, sequences)


def _split(messages: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Names and prices; raises InvalidTick."""
    parts: list[bytes] = []
    for begin in range(0, len(messages), MATCHED):
        some = messages[begin : begin + MATCHED]
        lines = b"\n".join((*some, b""))
        if lines.count(b"\n") != len(some) or not _LINES.fullmatch(lines):
            raise InvalidTick("a message of them")
        parts += lines.replace(b":", b"\n").split(b"\n")[:-1]
    return parts[::2], parts[1::2]
