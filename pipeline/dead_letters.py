"""DeadLetters: what a group can't use, kept with its reason, to be looked at and to be let go."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis

from pipeline.connections import redis_outage
from pipeline.settings import Settings

KEPT = 100_000  # newest; a stream of nothing but garbage must not fill Redis
LETTER = 2 << 10  # bytes kept of a message; whatever is longer can't become a tick by any fix
PAGE = 1000  # letters in one answer

# An entry is acknowledged once, so it is buried once, also when the reply is lost and we ask again.
# The first line fails on a key that is no stream, and then nothing is acknowledged; the XADD can't
# fail after that, since a script that has written may go on in a full Redis.
_BURY = """
redis.call('XLEN', KEYS[2])
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[3]) == 0 then return end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*',
           'entry', ARGV[3], 'channel', ARGV[4], 'message', ARGV[5], 'reason', ARGV[6])
"""


class Letter(NamedTuple):
    """A dead letter; `entry` is what the stream had: id, channel, and message, perhaps cut."""

    id: bytes
    entry: tuple[bytes, bytes, bytes]
    reason: str


class DeadLetters:
    """Those of one group. Every call raises Outage."""

    def __init__(self, redis: Redis, group: str, settings: Settings) -> None:
        self._redis = cast("Any", redis)  # redis-py's reply types cost more than they tell
        self._group = group
        self._stream = settings.stream
        self._key = settings.helper_key("dead", group)

    async def bury(self, entry: tuple[bytes, bytes, bytes], reason: str) -> None:
        """Keep an entry and acknowledge it, in one step; safe to repeat."""
        entry_id, channel, message = entry
        letter = (entry_id, channel, message[:LETTER], reason)
        with redis_outage():
            await self._redis.eval(_BURY, 2, self._stream, self._key, self._group, KEPT, *letter)

    async def pages(self) -> AsyncIterator[list[Letter]]:
        """All that there are now, oldest first."""
        after = b"-"
        while True:
            with redis_outage():
                found = await self._redis.xrange(self._key, min=after, count=PAGE)
            if found:
                yield [_letter(letter_id, fields) for letter_id, fields in found]
            if len(found) < PAGE:
                return
            after = b"(" + found[-1][0]

    async def remove(self, letters: Sequence[Letter]) -> None:
        if letters:
            with redis_outage():
                await self._redis.xdel(self._key, *(letter.id for letter in letters))


def _letter(letter_id: bytes, fields: dict[bytes, bytes]) -> Letter:
    """Anybody can have put it there: what it lacks is empty."""
    entry_id, channel, message, reason = (
        fields.get(name, b"") for name in (b"entry", b"channel", b"message", b"reason")
    )
    return Letter(letter_id, (entry_id, channel, message), reason.decode(errors="backslashreplace"))
