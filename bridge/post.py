"""Post: where a bridge listens, and how it is known there to the others."""

from math import inf
from secrets import token_hex
from time import monotonic

from bridge.echo import Echo
from bridge.settings import BridgeSettings
from pipeline.addresses import Address

FORGOTTEN = 1.0  # seconds in which who listens hears something, since whoever appends tells it


class Post:
    """In a cluster it isn't the node of the stream, so that no failure takes both at once.

    That one counts those who hear its PUBLISH on itself only. So bridges that listen elsewhere
    are counted by what they say: each says with every call whether it hears the others.
    """

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings
        self._limit_s = max(FORGOTTEN, settings.bridge_lease.total_seconds())
        self.name = token_hex(8)
        self.node = ""  # as host:port; empty: the stream's own, or none yet
        self.control = settings.control_channel("")
        self.listener = ""  # for stream.lua; empty: the stream's node counts those who listen
        self.connected: bool | None = False  # None: soon, and others may count this bridge already
        self.on_its_way = False  # to a node that it chose
        self.told_at = -inf  # when something last came on the control channel
        self.echo = Echo()

    @property
    def address(self) -> Address:
        """Of the node."""
        host, _, port = self.node.rpartition(":")
        return host, int(port)

    @property
    def hears(self) -> str:
        """For stream.lua."""
        if not self.listener:
            return ""
        if self.connected is None or self.on_its_way:
            return "soon"
        if not self.connected:
            return "nothing"
        return "others" if monotonic() - self.told_at < self._limit_s else "prices"

    def arrive(self) -> None:
        """All channels are confirmed."""
        self.connected, self.on_its_way = True, False
        self.echo.begin()

    def leave(self) -> None:
        """The subscription is over."""
        self.connected = False
        self.echo.end()

    def hear(self, words: bytes) -> bytes:
        """What somebody said on the control channel."""
        self.told_at = monotonic()
        return self.echo.hear(words) if self.listener else words

    def go_to(self, node: str) -> None:
        """Listen there; on each node the prices are in another order, so each has its channel."""
        self.node = node
        self.control = self._settings.control_channel(node)
        self.listener = f"{node} {self.name}"
        self.echo.change_voice()
