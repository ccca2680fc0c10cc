"""LineUp: which of the messages received are in the stream, by whichever bridge's hand."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from bridge.backlog import Backlog, Piece
from bridge.control import Marker, Notice, Taken, parse
from bridge.ids import EntryIds, Ids
from bridge.ring import Ring
from bridge.script import MAX_MESSAGE, NOTHING, Batch, Reply
from pipeline.tick import id_pair

NO_ID = b"0-0"


class LineUp:
    """Reads notices at their place among the prices; knows no time and no connection.

    While `aligned`, the backlog begins with the message that follows the entry `last`.
    """

    def __init__(self, backlog: Backlog, ring: Ring, on_landed: Callable[[Batch], None]) -> None:
        self.backlog = backlog
        self._ring = ring
        self._on_landed = on_landed
        self.token = self._epoch = b""
        self._epochs = 0
        self.aligned = False
        self.position = 0  # of the stream, as far as this bridge knows
        self.last = NO_ID  # the newest entry it knows of
        self._reach = NO_ID  # the ring has all that is newer, but for what got too old
        self.ids = EntryIds()
        self.in_flight = NOTHING
        self._pieces: list[Piece] = []  # what is in flight, as it was received
        self._doubt = NOTHING  # was in flight when the lease was lost
        self.notices = 0  # of other bridges
        self.heard = 0  # the number of this bridge's newest notice that came back
        self.confirmed = asyncio.Event()  # the word that this bridge has the lease came back

    # What the others say, and what comes back of our own.

    def hear(self, said: bytes) -> None:
        """What came on the control channel, at this place among the prices."""
        match parse(said):
            case Notice() as notice if notice.token == self.token:
                self.heard = max(self.heard, notice.number)
                if notice.ids and notice.last == self.in_flight.mark:
                    self.landed()
            case Notice() as notice:
                self._count(notice)
            case Marker() as marker:
                self.backlog.insert(marker)
            case Taken(token) if token == self.token:
                self.confirmed.set()
            case None if said.startswith(b"notice "):  # of a release whose ids we can't read
                self.aligned = False

    def _count(self, notice: Notice) -> None:
        self.notices += 1
        if self.in_flight.ids:  # of a lease that is over: it belongs ahead of what they count
            self.fenced()
        if self.aligned and notice.epoch == self._epoch:
            news = id_pair(notice.last) > id_pair(self.last)
            if not news and (notice.ids or notice.last != self.last):
                return  # our own from before
            self.position = notice.position
            self.aligned = notice.before == self.last and self._cover(notice.dropped, notice.ids)
        else:
            self.aligned = False
        if notice.answered and not self.whole:
            self._line_up(notice)

    def _line_up(self, notice: Notice) -> None:
        if not self.backlog.cover_until(Marker(notice.answered)):
            return
        if not self.aligned:
            self._reach = notice.last
        self.aligned, self._epoch = True, notice.epoch
        self.last = notice.last
        self.position = notice.position + len(notice.ids)

    def _cover(self, dropped: int, ids: Ids) -> bool:
        """Move what somebody appended from the backlog into the ring, with the same ids."""
        if not ids:
            return True
        ahead = dropped - self.backlog.untold
        if ahead < 0:
            return False  # some of it is no longer here
        skipped = self.backlog.cover(ahead)
        batch = Batch.of(self.backlog.cover(len(ids)), ids)
        if sum(len(piece.messages) for piece in skipped) < ahead or len(batch.messages) < len(ids):
            return False  # a hole is ahead of the rest
        self.backlog.untold = 0
        self._keep(batch)
        return True

    # What this bridge does while it has the lease.

    def compose(self) -> None:
        """Have a batch in flight, if there is one to be had."""
        if self.in_flight.ids:
            return
        self._pieces, answered = self.backlog.take()
        runs = [
            run
            for piece in self._pieces
            for run in self.ids.stamp(piece.received_us, len(piece.messages))
        ]
        self.in_flight = Batch.of(self._pieces, Ids(tuple(runs)))
        if runs:
            self.in_flight.dropped, self.backlog.untold = self.backlog.untold, 0
        # Who hears nothing of an append can't learn either what was dropped: he will ask again.
        self.in_flight.answered = b"" if self.backlog.untold else answered

    def notice(self, number: int, batch: Batch) -> bytes:
        """The words that go with an append; none of a batch that goes again covers anything."""
        new = batch is self.in_flight
        return Notice(
            self.token,
            number,
            self._epoch,
            self.position,
            batch.dropped if new else 0,
            batch.answered if new else b"",
            self.last,
            batch.ids if new else Ids(),
        ).encode()

    def landed(self) -> None:
        """What was in flight is in the stream."""
        batch, self.in_flight, self._pieces = self.in_flight, NOTHING, []
        if batch.ids:
            self._keep(batch)
            self._on_landed(batch)

    def _keep(self, batch: Batch) -> None:
        self._ring.add(batch.kept)
        self.last = batch.mark
        self.position += len(batch.kept.ids)

    def rise_above(self, last_id: bytes) -> None:
        """Somebody else's id may be above those that are already given to what is in flight."""
        self.ids.start_above(last_id)
        batch = self.in_flight
        if batch.ids and id_pair(batch.ids[0]) <= id_pair(last_id):
            stamped = [new for run in batch.ids.runs for new in self.ids.stamp(run.us, run.length)]
            self.in_flight = replace(batch, ids=Ids(tuple(stamped)))

    def new_epoch(self) -> None:
        """What this bridge received differs from what others did: they must line up again."""
        self._epochs += 1
        self._epoch = b"%s:%d" % (self.token, self._epochs)

    def fenced(self) -> None:
        """The lease is lost: what is in flight waits with the rest, for whoever appends it."""
        if not self.token:
            return
        self.token, self._doubt = b"", self.in_flight
        if self._pieces:
            self.backlog.give_back(self._pieces)
            self.backlog.untold = self.in_flight.dropped
        self.in_flight, self._pieces = NOTHING, []

    # Taking the lease.

    def has_all(self, last_id: bytes) -> bool:
        """Nobody could go on better than this bridge from a stream that ends there."""
        return self.whole and not self.lacks(last_id)

    @property
    def whole(self) -> bool:
        """All that isn't appended is in the backlog."""
        return self.aligned and not self.backlog.torn and not self.backlog.untold

    def lacks(self, last_id: bytes) -> bool:
        """A stream that ends there has lost what this bridge never had, and another one may have.

        What is older than a ring keeps, nobody has.
        """
        return id_pair(self._reach) > id_pair(last_id) and self._ring.keeps(self._reach)

    def behind(self, reply: Reply) -> bool:
        """Somebody has appended what this bridge hasn't heard of."""
        known = max(self.last, self.doubt if reply.landed else NO_ID, key=id_pair)
        return not self.aligned or id_pair(known) < id_pair(reply.last_id)

    @property
    def doubt(self) -> bytes:
        """The id to ask for: it tells whether what was in flight is in the stream."""
        return self._doubt.mark

    def take_over(self, reply: Reply, *, heard: bool) -> bool:
        """Go on exactly where the stream ends; False if this bridge can't know where that is.

        `heard`: all notices that were published before the lease was taken have been read.
        """
        doubt, self._doubt = self._doubt, NOTHING
        if reply.landed and id_pair(doubt.mark) > id_pair(self.last):
            self._cover(doubt.dropped, doubt.ids)
        self.ids.start_above(max(reply.last_id, self.last, key=id_pair))
        behind = id_pair(self.last) < id_pair(reply.last_id)
        return self.aligned and (not behind or (heard and not self.backlog.torn))

    def guess(self, tail: Sequence[tuple[bytes, bytes]], last_id: bytes) -> int:
        """Leave out what the stream's last messages show to be appended; says how many."""
        received = [
            (index, pair)
            for index, pair in enumerate(self.backlog.messages(), start=1)
            if len(pair[1]) <= MAX_MESSAGE
        ]
        count = _overlap(tail, received)
        self.backlog.cover(count, across=True)
        self.backlog.untold = 0
        lost = self._ring.newer_than(last_id)
        self.aligned = True
        self.new_epoch()
        self.last, self._reach = lost[-1].mark if lost else last_id, last_id
        return count


def _overlap(
    tail: Sequence[tuple[bytes, bytes]], received: Sequence[tuple[int, tuple[bytes, bytes]]]
) -> int:
    """How many messages end where the tail does, by the longest agreement of the two."""
    pairs = [pair for _, pair in received]
    best, count = 0, 0
    for end in range(1, len(pairs) + 1 if tail else 0):
        length = min(end, len(tail))
        if (
            length > best
            and pairs[end - 1] == tail[-1]
            and pairs[end - length : end] == tail[-length:]
        ):
            best, count = length, received[end - 1][0]
    return count
