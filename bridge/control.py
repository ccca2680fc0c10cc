"""Control: what bridges tell each other, on a channel that each reads with the prices."""

import re
from typing import NamedTuple

from bridge.ids import Ids

COUNT = re.compile(rb"\d{1,20}")
ENTRY_ID = re.compile(rb"\d{1,20}-\d{1,20}")


class Notice(NamedTuple):
    """What one append covered; published by the append itself, so in the order of all appends."""

    token: bytes
    number: int  # counts the calls of one bridge
    epoch: bytes  # another one: counting from before is void
    position: int  # of the stream, before the append
    dropped: int  # received and never appended, ahead of the rest
    answered: bytes  # a marker: all received ahead of it is covered now
    before: bytes  # the last id of the notice before
    ids: Ids  # of the messages covered, in the order of receipt

    @property
    def last(self) -> bytes:
        return self.ids.last if self.ids else self.before

    def encode(self) -> bytes:
        head = b"appended %s %d %s %d %d %s %s " % self[:-1]
        return head + self.ids.encode()


class Marker(NamedTuple):
    """A standby's question where the appending bridge is."""

    name: bytes

    def encode(self) -> bytes:
        return b"marker " + self.name


class Taken(NamedTuple):
    """The lease has a new holder; when he reads it, he has read all notices before it."""

    token: bytes

    def encode(self) -> bytes:
        return b"taken " + self.token


def parse(said: bytes) -> Notice | Marker | Taken | None:
    """None for what no bridge says."""
    match said.split(b" "):
        case [b"appended", token, number, epoch, position, dropped, answered, before, ids]:
            # What no bridge says must not end a subscription: all bridges hear it.
            listed = Ids.parse(ids)
            counts = (number, position, dropped)
            if (
                listed is None
                or not ENTRY_ID.fullmatch(before)
                or not all(map(COUNT.fullmatch, counts))
            ):
                return None
            return Notice(
                token, int(number), epoch, int(position), int(dropped), answered, before, listed
            )
        case [b"marker", name]:
            return Marker(name)
        case [b"taken", token]:
            return Taken(token)
    return None
