"""Control: what bridges tell each other, on a channel that each reads with the prices."""

from typing import NamedTuple


class Notice(NamedTuple):
    """What one append covered; published by the append itself, so in the order of all appends."""

    token: bytes
    number: int  # counts the calls of one bridge
    epoch: bytes  # another one: counting from before is void
    position: int  # of the stream, before the append
    dropped: int  # received and never appended, ahead of the rest
    answered: bytes  # a marker: all received ahead of it is covered now
    before: bytes  # the last id of the notice before
    ids: list[bytes]  # of the messages covered, in the order of receipt

    @property
    def last(self) -> bytes:
        return self.ids[-1] if self.ids else self.before

    def encode(self) -> bytes:
        head = b"notice %s %d %s %d %d %s %s " % self[:-1]
        return head + b",".join(self.ids)


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
        case [b"notice", token, number, epoch, position, dropped, answered, before, ids]:
            counts = (number, position, dropped)
            if not all(count.isdigit() for count in counts) or b"-" not in before:
                return None
            listed = ids.split(b",") if ids else []
            return Notice(
                token, int(number), epoch, int(position), int(dropped), answered, before, listed
            )
        case [b"marker", name]:
            return Marker(name)
        case [b"taken", token]:
            return Taken(token)
    return None
