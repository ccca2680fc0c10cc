"""The protocol of two or more bridges, without time and sockets: lease, notices, line-up, ring."""

from dataclasses import dataclass, field
from itertools import count

Entry = tuple[int, int]
"""Id, message."""


@dataclass(frozen=True)
class Notice:
    """What an append covered, published inside its script."""

    epoch: int  # another one: counting from before is void
    before: int  # the stream's last id when it was appended
    dropped: int  # received and not appended, ahead of the rest
    ids: tuple[int, ...]
    answered: int  # a marker: all received ahead of it is covered now
    last: int


@dataclass(frozen=True)
class Marker:
    """A standby's question where the appending bridge is."""

    number: int


@dataclass(frozen=True)
class Taken:
    """Somebody has the lease; to him: all notices of those before him have been read."""

    token: int


Item = int | Notice | Marker | Taken


@dataclass
class Stream:
    """Redis: every method is one atomic step."""

    entries: list[Entry] = field(default_factory=list)
    holder: int = 0
    bridges: list["Bridge"] = field(default_factory=list)
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def last(self) -> int:
        return self.entries[-1][0] if self.entries else 0

    def publish(self, item: Item) -> None:
        for bridge in self.bridges:
            if bridge.connected:
                bridge.inbox.append(item)


@dataclass
class Bridge:
    """One bridge; `queue` begins with the oldest message that isn't known to be appended."""

    stream: Stream
    inbox: list[Item] = field(default_factory=list)
    queue: list[int | Marker] = field(default_factory=list)
    ring: list[Entry] = field(default_factory=list)
    connected: bool = True
    aligned: bool = False  # notices can be counted
    token: int = 0
    ready: bool = False  # has read all that was said before it had the lease
    epoch: int = 0
    last: int = 0  # the last id it knows to be appended
    reach: int = 0  # the ring has all that is newer
    dropped: int = 0  # not yet told
    found: int = 0  # the stream's last id when it took the lease

    # -- what it reads --------------------------------------------------------------------------

    def read(self) -> None:
        """The next thing that its subscription brings."""
        item = self.inbox.pop(0)
        if isinstance(item, Notice):
            self._count(item)
        elif isinstance(item, Taken):
            if item.token == self.token:
                self._begin()
        else:
            self.queue.append(item)

    def _count(self, notice: Notice) -> None:
        if notice.last <= self.last and notice.epoch == self.epoch and self.aligned:
            return  # our own, or what went again
        if not self.aligned:
            self._line_up(notice)
        elif notice.epoch != self.epoch or notice.before != self.last:
            self.aligned = False
        else:
            self._cover(notice)

    def _line_up(self, notice: Notice) -> None:
        if not self._take_off_marker(notice.answered):
            return
        self.aligned, self.dropped = True, 0
        self.epoch, self.last, self.reach, self.ring = notice.epoch, notice.last, notice.last, []

    def _cover(self, notice: Notice) -> None:
        if self.dropped > notice.dropped:
            self.aligned = False  # the other one appended what we no longer have
            return
        self._take_off(notice.dropped - self.dropped)
        self.dropped = 0
        messages = self._take_off(len(notice.ids))
        self.ring += zip(notice.ids, messages, strict=True)
        self.last = notice.last

    def _take_off_marker(self, number: int) -> bool:
        """Whoever asked: both have it at the same place."""
        if Marker(number) not in self.queue:
            return False
        del self.queue[: self.queue.index(Marker(number)) + 1]
        return True

    def _take_off(self, number: int) -> list[int]:
        taken: list[int] = []
        while len(taken) < number:
            if not isinstance(item := self.queue.pop(0), Marker):
                taken.append(item)
        return taken

    # -- what it does ---------------------------------------------------------------------------

    def ask(self) -> None:
        """Put a marker where both sides see it."""
        self.stream.publish(Marker(next(self.stream.numbers)))

    def take(self) -> None:
        """Take the free lease; nothing is appended before our own word of it is back."""
        self.token = self.stream.holder = next(self.stream.numbers)
        self.ready, self.found = False, self.stream.last
        self.stream.publish(Taken(self.token))

    def _begin(self) -> None:
        self.ready = True
        if not self.aligned or self.found > self.last:  # inexact: somebody's words were missed
            self._match()
            self.epoch, self.aligned = self.token, True

    def _match(self) -> None:
        """Find the stream's last message in the queue: what is ahead of it was appended too."""
        if self.found <= self.last:
            return
        known = {message for _, message in self.stream.entries}
        places = [place for place, item in enumerate(self.queue) if item in known]
        if places:
            del self.queue[: places[-1] + 1]
        self.last = self.reach = self.found
        self.ring = []

    def append(self, limit: int, *, reply: bool = True) -> None:
        """One script call. Without a reply its own notice tells, if it landed."""
        if self.stream.holder != self.token:
            self.token, self.ready = 0, False  # fenced; what it has stays: notices go on
            return
        before = self.stream.last
        if before < self.last:  # lost: again, with the same ids
            self.stream.entries += [entry for entry in self.ring if entry[0] > before]
            return
        if before > self.last:
            return  # its own notice, unread, tells what landed
        batch: list[int] = []
        answered = 0
        for item in self.queue:
            if isinstance(item, Marker):
                answered = item.number
                continue
            if answered or len(batch) == limit:
                break
            batch.append(item)
        if self.dropped and not batch:
            if answered:
                self._take_off_marker(answered)  # not to be answered now; it is asked again
            return
        ids = tuple(next(self.stream.numbers) for _ in batch)
        self.stream.entries += zip(ids, batch, strict=True)
        notice = Notice(self.epoch, before, self.dropped, ids, answered, self.stream.last)
        self.stream.publish(notice)
        if reply:
            self._landed(notice)

    def _landed(self, notice: Notice) -> None:
        messages = self._take_off(len(notice.ids))
        self._take_off_marker(notice.answered)
        self.ring += zip(notice.ids, messages, strict=True)
        self.last, self.dropped = notice.last, 0

    def drop(self) -> None:
        """The buffer is full: the oldest goes, and the next notice says so."""
        self._take_off(1)
        self.dropped += 1

    def reconnect(self) -> None:
        """A new subscription after a lost one: its queue has a hole."""
        self.connected, self.aligned, self.inbox = True, False, []
        # What follows a marker from before the hole isn't all that followed it.
        self.queue = [item for item in self.queue if not isinstance(item, Marker)]
        if self.stream.holder == self.token:
            self.stream.holder = 0
        self.token, self.ready = 0, False
