"""Echo: a bridge's own words, as they come back by way of another node than they are told on."""

import asyncio
from collections import deque
from math import inf
from secrets import token_hex
from time import monotonic
from typing import NamedTuple

from bridge.control import COUNT

# Seconds. A cluster's nodes drop what they have for one that was silent for half of
# cluster-node-timeout, and that is to be 5 s or more. Later would be too late to know of it.
LATE = 2.4


class Word(NamedTuple):
    """What was told. Times are of the monotonic clock, in seconds."""

    number: int
    began_at: float
    told_at: float


class Echo:
    """Whether all words come back, and soon. If not, prices may have got lost on that way too."""

    def __init__(self) -> None:
        self.heard_at = -inf  # when what last came back was told, as long as all did
        self.broken = asyncio.Event()
        self._voice = b""
        self._told = self._heard = 0  # numbers of the words that were last
        self._began_at = -inf
        self._since = inf
        self._unheard: deque[Word] = deque()

    def begin(self) -> None:
        """From now on each should come back."""
        self.heard_at = self._since = monotonic()
        self.broken.clear()

    def end(self) -> None:
        """Nobody listens any more."""
        self._since = inf
        self._unheard.clear()

    def change_voice(self) -> None:
        """What was told may be gone with a connection to its node: no sign that prices are."""
        self._voice, self._told, self._heard = token_hex(4).encode(), 0, 0
        self._unheard.clear()

    def speak(self, words: bytes) -> bytes:
        """With the number that they have if they are told."""
        self._began_at = monotonic()
        return b"%s %d %s" % (self._voice, self._told + 1, words)

    def told(self) -> None:
        """They were."""
        self._told += 1
        if self._told > self._heard and self._began_at > self._since:
            self._unheard.append(Word(self._told, self._began_at, monotonic()))
            self._judge()

    def hear(self, words: bytes) -> bytes:
        """What somebody told, without the number."""
        voice, _, rest = words.partition(b" ")
        number, _, said = rest.partition(b" ")
        if not COUNT.fullmatch(number):
            return words  # what no bridge says
        if voice == self._voice:
            self._come(int(number))
        return said

    def _come(self, number: int) -> None:
        self._judge()
        began_at = self._began_at
        while self._unheard and self._unheard[0].number <= number:
            word = self._unheard.popleft()
            began_at = word.began_at
            if word.number < number:
                self.broken.set()  # they keep their order: it won't come any more
        self._heard = number
        if not self.broken.is_set():
            self.heard_at = began_at

    def _judge(self) -> None:
        """By what was told since, not by now: if it was us who slept, all is still to be read."""
        if self._unheard and self._unheard[-1].told_at - self._unheard[0].told_at > LATE:
            self.broken.set()
