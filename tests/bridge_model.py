"""Bridges without time and sockets: the real line-up, backlog and ring around a stream of lists."""

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from bridge.backlog import Backlog, Piece
from bridge.control import Marker, Taken
from bridge.lineup import NO_ID, LineUp
from bridge.ring import Ring
from bridge.script import Batch, Reply
from pipeline.tick import id_pair

CHANNEL = b"NYSE"
TAIL = 1000


def number(message: bytes) -> int:
    return int(message)


@dataclass
class Stream:
    """Redis: every method is one atomic step, as in stream.lua."""

    entries: list[tuple[bytes, bytes]] = field(default_factory=list)
    added: int = 0
    holder: bytes = b""
    bridges: list["Bridge"] = field(default_factory=list)
    clock: "count[int]" = field(default_factory=lambda: count(1_700_000_000_000_000))
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def last(self) -> bytes:
        return self.entries[-1][0] if self.entries else NO_ID

    @property
    def messages(self) -> list[int]:
        return [number(message) for _, message in self.entries]

    def tell(self, said: bytes | int) -> None:
        for bridge in self.bridges:
            if bridge.connected:
                bridge.inbox.append(said)

    def lose(self, kept: int) -> None:
        """A log cut behind so many entries; the lease may be gone with it."""
        self.added = min(self.added, kept)
        del self.entries[kept:]

    def reply(self, status: str, mark: bytes = b"") -> Reply:
        landed = any(entry_id == mark for entry_id, _ in self.entries)
        return Reply(status, self.added, self.last, 0, landed, 0)

    def take(self, token: bytes, mark: bytes) -> Reply:
        if self.holder:
            return self.reply("HELD")
        self.holder = token
        self.tell(Taken(token).encode())
        return self.reply("OK", mark)

    def append(self, token: bytes, position: int, batch: Batch, mark: bytes, said: bytes) -> Reply:
        if self.holder != token:
            return self.reply("FENCED")
        if self.added != position:
            return self.reply("MOVED", mark)
        assert not batch.ids or id_pair(batch.ids[0]) > id_pair(self.last), "XADD would refuse it"
        self.entries += zip(batch.ids, batch.messages, strict=True)
        self.added += len(batch.ids)
        self.tell(said)
        return self.reply("OK")


class Bridge:
    """One bridge: what append.py and lease.py do, each step when it is told to."""

    def __init__(self, stream: Stream, limit: int) -> None:
        self.stream = stream
        self.inbox: deque[bytes | int] = deque()
        self.connected = True
        self.backlog = Backlog(limit)
        self.ring = Ring(timedelta(hours=1), 1_000_000)
        self.line_up = LineUp(self.backlog, self.ring, lambda _: None)
        self.again: deque[Batch] = deque()
        self.taken: Reply | None = None  # the lease, but not yet the word of it
        self.unsure = False  # began without knowing where the stream ends

    @property
    def leads(self) -> bool:
        return bool(self.line_up.token) and self.taken is None

    def whole(self, last_id: bytes) -> bool:
        return self.connected and self.line_up.has_all(last_id)

    def read(self) -> None:
        """The next thing that its subscription brings."""
        said = self.inbox.popleft()
        if isinstance(said, int):
            self.backlog.add(Piece(next(self.stream.clock), (CHANNEL,), (b"%d" % said,), 1))
        else:
            self.line_up.hear(said)
        if self.taken and self.line_up.confirmed.is_set():
            self.begin(self.taken)

    def ask(self) -> None:
        self.stream.tell(Marker(b"%d" % next(self.stream.numbers)).encode())

    def take(self) -> None:
        """Take the free lease; nothing is appended before our own word of it is back."""
        self.line_up.token = b"%d" % next(self.stream.numbers)
        self.line_up.confirmed.clear()
        reply = self.stream.take(self.line_up.token, self.line_up.doubt)
        self.taken = reply if reply.status == "OK" else None
        if not self.taken:
            self.line_up.token = b""

    def begin(self, reply: Reply) -> None:
        self.taken = None
        if not self.line_up.take_over(reply, heard=True):
            self.unsure = True
            tail = [(CHANNEL, message) for _, message in self.stream.entries[-TAIL:]]
            self.line_up.guess(tail, reply.last_id)
        self.again = self.ring.newer_than(reply.last_id)
        self.line_up.position = reply.position

    def append(self, *, reply_lost: bool = False) -> None:
        """One script call."""
        line_up = self.line_up
        if not self.again and not line_up.in_flight.ids:
            line_up.compose()
        batch = self.again[0] if self.again else line_up.in_flight
        words = line_up.notice(0, batch)
        mark = line_up.in_flight.mark
        reply = self.stream.append(line_up.token, line_up.position, batch, mark, words)
        if reply_lost:
            return
        if reply.status == "FENCED":
            line_up.fenced()
        elif reply.status == "MOVED":
            self._adopt(reply)
        else:
            if self.again:
                self.again.popleft()
            else:
                line_up.landed()
            line_up.position = reply.position

    def _adopt(self, reply: Reply) -> None:
        if reply.landed:
            self.line_up.landed()
        if self.line_up.lacks(reply.last_id):
            self.give_up()
            return
        self.again = self.ring.newer_than(reply.last_id)
        self.line_up.position = reply.position
        self.line_up.rise_above(reply.last_id)

    def give_up(self) -> None:
        if self.stream.holder == self.line_up.token:
            self.stream.holder = b""
        self.line_up.fenced()
        self.taken = None
