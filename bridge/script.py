"""StreamScript: stream.lua's verbs as calls, on a connection of their own."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from itertools import chain
from typing import NamedTuple

from bridge.backlog import Piece
from bridge.control import Marker, Taken
from bridge.ids import Ids
from bridge.post import Post
from bridge.resp import CommandConnection, greeting, open_connection
from bridge.settings import BridgeSettings
from pipeline.connections import redis_outage
from pipeline.nodes import locate
from pipeline.outage import Outage

Argument = str | bytes | int
# A tick has at most 1,058 bytes. Readers hold a batch of 50,000 in memory, and XINFO STREAM copies
# whole entries with every append: neither may depend on what somebody publishes.
MAX_MESSAGE = 2 << 10
TRIM_STEP = 2000  # entries that go in one call: some ms of Redis at most, so others get their turn
HERE = b"here"  # said where there is nothing to say: it has to come back
LETTER = 1 << 10  # bytes of it that are kept: enough to see whose it is


class Cut(NamedTuple):
    """Entries that a group still needed, removed by the stream's cap."""

    group: str
    unread: int
    pending: int


class Reply(NamedTuple):
    """What the script answers; its first comment says what the words mean."""

    status: str
    position: int
    last_id: bytes
    trimmed: int
    landed: bool
    receivers: int
    cut: Sequence[Cut] = ()

    @property
    def more(self) -> bool:
        """There may be more to trim: whole nodes went, so a few fewer than a step."""
        return self.trimmed * 2 >= TRIM_STEP


@dataclass
class Batch:
    """Messages that have their ids, until it is known that they are in the stream."""

    ids: Ids
    channels: list[bytes]
    messages: list[bytes]
    dropped: int = 0  # messages received before these, and never appended
    answered: bytes = b""  # a marker that comes right after these

    @classmethod
    def of(cls, pieces: Sequence[Piece], ids: Ids) -> "Batch":
        channels = list(chain.from_iterable(piece.channels for piece in pieces))
        return cls(ids, channels, list(chain.from_iterable(piece.messages for piece in pieces)))

    @property
    def mark(self) -> bytes:
        """The id that answers for all of it; empty when nothing is in flight."""
        return self.ids.last if self.ids else b""

    @cached_property
    def refused(self) -> dict[int, str]:
        """Which messages the stream doesn't take, and why; found once, when the batch is whole."""
        if not self.messages or max(map(len, self.messages)) <= MAX_MESSAGE:
            return {}
        return {
            index: f"message of {len(each)} bytes is longer than {MAX_MESSAGE}"
            for index, each in enumerate(self.messages)
            if len(each) > MAX_MESSAGE
        }

    @property
    def kept(self) -> "Batch":
        """What of it the stream takes."""
        if not self.refused:
            return self
        return self._only([i for i in range(len(self.ids)) if i not in self.refused])

    def since(self, index: int) -> "Batch":
        """What comes from there on."""
        return self._only(range(index, len(self.ids))) if index else self

    def columns(self) -> "list[Argument]":
        """As the script takes them: strings of all ids, channels, lengths, messages."""
        if not self.ids:
            return []
        names = list(dict.fromkeys(self.channels))
        place = dict(zip(names, range(len(names)), strict=True))
        channels = array("H", map(place.__getitem__, self.channels))
        lengths = array("H", map(len, self.messages))
        strings = (self.ids.encode(), channels.tobytes(), lengths.tobytes())
        return [*strings, b"".join(self.messages), *names]

    def _only(self, indexes: Sequence[int]) -> "Batch":
        ids = list(self.ids)
        return Batch(
            Ids.of(ids[index] for index in indexes),
            [self.channels[index] for index in indexes],
            [self.messages[index] for index in indexes],
        )


NOTHING = Batch(Ids(), [], [])


class StreamScript:
    """Calls stream.lua; connects when needed, raises Outage when it can't."""

    def __init__(self, settings: BridgeSettings, post: Post | None = None) -> None:
        self._settings, self._post = settings, post or Post(settings)
        self._url = settings.redis_url
        limits = (settings.stream_max_entries, TRIM_STEP)
        self._trimming: Sequence[Argument] = (*limits, *settings.stream_groups)
        self._lease_ms = int(settings.bridge_lease.total_seconds() * 1000)
        dead = settings.helper_key("dead", "bridge")
        overrun = settings.helper_key("overrun")
        listeners = settings.helper_key("listeners")
        self._keys = (settings.stream, settings.helper_key("lease"), dead, overrun, listeners)
        self._gaps = settings.helper_key("gaps")
        self._source = resources.files("bridge").joinpath("stream.lua").read_text()
        self._sha = b""
        self._connection: CommandConnection | None = None
        self.opened = 0  # connections till now

    async def look(self, question: Marker | None) -> Reply:
        """Who has the lease, and where the stream is; a question goes to the other bridges."""
        return await self._call("look", b"", said=question.encode() if question else b"")

    async def listen(self, node: str, left: str) -> tuple[str, int]:
        """The node that all bridges listen on, this one if nobody does; the stream's position.

        `left`: one that is useless, whoever still listens there; empty for none.
        """
        reply = await self._call("listen", b"", rest=(node, self._post.name, left))
        return reply.status, reply.position

    async def take(self, token: bytes, mark: bytes) -> Reply:
        """OK with the lease, or HELD; either way where the stream is, and if `mark` landed."""
        return await self._call("take", token, mark=mark, said=Taken(token).encode())

    async def release(self, token: bytes) -> Reply:
        """Give the lease back."""
        return await self._call("release", token)

    async def tail(self, count: int) -> list[tuple[bytes, bytes]]:
        """Channel and message of the stream's newest entries, oldest first; ours only."""
        connection = await self._connected()
        entries = await connection.call("XREVRANGE", self._keys[0], "+", "-", "COUNT", count)
        fields = [entry[1] for entry in reversed(entries)]
        return [(each[1], each[3]) for each in fields if each[::2] == [b"channel", b"message"]]

    async def trim(self, token: bytes, position: int, mark: bytes) -> Reply:
        """Remove what every group has had, then what is beyond the cap; a step of it."""
        return await self._call("trim", token, position, mark, rest=self._trimming)

    async def append(
        self, token: bytes, position: int, batch: Batch, mark: bytes, notice: bytes
    ) -> Reply:
        """Append all of the batch or nothing; renews the lease. `mark` is what is in flight."""
        refused = batch.refused
        arguments: list[Argument] = [len(refused)]
        for index, reason in refused.items():
            cut = batch.messages[index][:LETTER]
            arguments += (batch.ids[index], batch.channels[index], cut, reason)
        arguments += batch.kept.columns()
        return await self._call("append", token, position, mark, notice, arguments)

    async def record_gap(self, from_us: int, to_us: int, reason: str) -> None:
        """Keep the gap where the api can read it; the newest 1,000 stay."""
        seconds = (to_us - from_us) / 1e6
        fields = ("from_us", from_us, "to_us", to_us, "seconds", f"{seconds:.6f}", "reason", reason)
        connection = await self._connected()
        await connection.call("XADD", self._gaps, "MAXLEN", "~", 1000, "*", *fields)

    def close(self) -> None:
        """Drop the connection."""
        if self._connection:
            self._connection.abort()
            self._connection = None

    async def _call(  # noqa: PLR0913, PLR0917 - what stream.lua takes, each with its name
        self,
        verb: str,
        token: bytes,
        position: int = 0,
        mark: bytes = b"",
        said: bytes = b"",
        rest: Sequence[Argument] = (),
    ) -> Reply:
        connection, post = await self._connected(), self._post
        words = post.echo.speak(said or HERE) if post.listener else said
        about = (post.control, words, post.listener, post.hears)
        fixed = (verb, token, self._lease_ms, position, mark, *about)
        status, added, last_id, trimmed, landed, receivers, *lost = await connection.call(
            "EVALSHA", self._sha, len(self._keys), *self._keys, *fixed, *rest
        )
        if receivers:  # none if the verb wasn't done
            post.echo.told()
        cut = [Cut(lost[i].decode(), *lost[i + 1 : i + 3]) for i in range(0, len(lost), 3)]
        return Reply(status.decode(), added, last_id, trimmed, bool(landed), receivers, cut)

    async def _connected(self) -> CommandConnection:
        if self._connection and not self._connection.lost.is_set():
            return self._connection
        settings = self._settings
        self._post.echo.change_voice()
        with redis_outage():
            at = (await locate(settings)).master if settings.follows else None
        connection = await open_connection(self._url, CommandConnection, at)
        try:
            for command in greeting(self._url):
                await connection.call(*command)
            self._sha = await connection.call("SCRIPT", "LOAD", self._source)
        except Outage:
            connection.abort()
            raise
        self._connection = connection
        self.opened += 1
        return connection
