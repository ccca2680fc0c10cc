"""Peers: a consumer's name and heartbeat in its group, and what dead peers leave to the living."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from time import monotonic
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.connections import redis_outage
from pipeline.events import emit
from pipeline.outage import Outage, pause, persist
from pipeline.settings import StreamSettings

LIFE = 15.0  # seconds that a heartbeat is good for: whoever has none is dead, whoever is slow isn't
BEAT_EVERY = 1.0
ANSWER_LIMIT = 3.0  # seconds for a script; the next one may find a connection that works
# After a beat that failed, or that found its own key gone, a peer may not have beaten again yet.
GRACE = BEAT_EVERY + ANSWER_LIMIT + 1.0
OVERDUE = 2 * BEAT_EVERY  # of our own name's last beat: whoever had it was killed
LOOK_EVERY = 3.0
CLAIMED_TOGETHER = 1000  # Redis does nothing else meanwhile; and Lua can't pass on 8,000 values

# KEYS: the heartbeat. ARGV: token, life in ms, ms of another's life that are as good as none, the
# token of our next life. 0: it was ours; -1: there was none, or none to speak of, and the next one
# has begun; else the ms that another's has left.
# A full Redis refuses a SET unless the script has written before. Without readers it stays full.
_BEAT = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] or holder == ARGV[4] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return holder == ARGV[1] and 0 or -1 -- or the reply that told of the next life was lost
end
local left = redis.call('PTTL', KEYS[1])
if left > tonumber(ARGV[3]) then return left end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[2])
return -1
"""

# KEYS: stream, our heartbeat. ARGV: token, group, our name, what begins every heartbeat's key,
# most entries to claim. Returns how many are pending with us, then the names whose entries were
# claimed, those that were removed, and the claimed entries whose bodies are gone.
# One step, so of two claimers one gets an entry; and who doesn't beat himself judges nobody. JUSTID
# counts no delivery: that is for the read which follows.
_CLAIM = """
local stream, group, me = KEYS[1], ARGV[2], ARGV[3]
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return { 0, {}, {}, {} } end
local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, group)
if consumers.err then return { 0, {}, {}, {} } end -- no group: the next read finds out
local ours, room, claimed, removed, lost = 0, tonumber(ARGV[5]), {}, {}, {}
for _, consumer in ipairs(consumers) do
  local of = {}
  for i = 1, #consumer, 2 do of[consumer[i]] = consumer[i + 1] end
  if of.name == me then
    ours = ours + of.pending
  elseif room >= 0 and redis.call('EXISTS', ARGV[4] .. of.name) == 0 then
    if of.pending == 0 then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, of.name)
      table.insert(removed, of.name)
    elseif room > 0 then
      local claim, gone = { stream, group, me, 0 }, {}
      for _, entry in ipairs(redis.call('XPENDING', stream, group, '-', '+', room, of.name)) do
        table.insert(claim, entry[1])
        gone[entry[1]] = true
      end
      room = room - (#claim - 4)
      table.insert(claim, 'JUSTID')
      for _, id in ipairs(redis.call('XCLAIM', unpack(claim))) do
        ours, gone[id] = ours + 1, nil
      end
      for id in pairs(gone) do table.insert(lost, id) end
      table.insert(claimed, of.name)
    end
  end
end
return { ours, claimed, removed, lost }
"""

# KEYS and ARGV: as above; the fourth is 1 after a stop in good order. Who leaves entries behind
# stays known, for a peer to claim them; a stop is no death, so it makes none of them suspicious.
_LEAVE = """
local stream, group, me = KEYS[1], ARGV[2], ARGV[3]
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return end
redis.call('DEL', KEYS[2])
local pending = redis.pcall('XPENDING', stream, group, '-', '+', 1000, me)
if pending.err then return end
if #pending == 0 then redis.call('XGROUP', 'DELCONSUMER', stream, group, me) end
while ARGV[4] == '1' and #pending > 0 do
  local claim = { stream, group, me, 0 }
  for _, entry in ipairs(pending) do table.insert(claim, entry[1]) end
  for _, word in ipairs({ 'RETRYCOUNT', 0, 'JUSTID' }) do table.insert(claim, word) end
  redis.call('XCLAIM', unpack(claim))
  pending = redis.call('XPENDING', stream, group, '(' .. pending[#pending][1], '+', 1000, me)
end
"""


class Peers:
    """The members of a group, of which we are one while `joined`."""

    def __init__(self, redis: Redis, group: str, settings: StreamSettings) -> None:
        self._redis = cast("Any", redis)  # redis-py's reply types cost more than they tell
        self._group = group
        self._settings = settings
        self.name = settings.consumer
        self.process = token_hex(8)
        # Each life has its own: a claim sent in one that is over judges nobody, however late.
        self._token, self._next_token = "", self.process
        self._judges_from = self._looks_from = 0.0
        self._beating: asyncio.Task[None] | None = None
        self._leaving = False

    @asynccontextmanager
    async def joined(self, stop: asyncio.Event) -> AsyncIterator[None]:
        """Alive under a name that is ours alone; raises Stopped. Whatever ends it, we leave."""
        await self._take_name(stop)
        self._beating = asyncio.create_task(self._beat_on())
        in_order = False
        try:
            yield
            in_order = True
        finally:
            self._leaving = True
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating
            await self._leave(in_order)

    async def claim(self, in_hand: int = 0) -> bool:
        """Every few seconds: whether there is work under our name, some of dead peers perhaps.

        What is pending with us beyond what we have `in_hand` was lost on the way.
        """
        now = monotonic()
        if now < self._looks_from:
            return False
        if self._beating and self._beating.done():
            self._beating.result()  # a bug: louder than a heartbeat that just ends
        room = CLAIMED_TOGETHER if now >= self._judges_from else -1
        prefix = self._key("")
        with redis_outage():
            async with asyncio.timeout(ANSWER_LIMIT):  # what is claimed later is seen next time
                ours, claimed, removed, lost = await self._script(_CLAIM, prefix, room)
        if claimed:
            emit("stream.claimed", group=self._group, consumers=_names(claimed), entries=ours)
        else:  # there may be more than one claim takes
            self._looks_from = now + LOOK_EVERY
        for name in _names(removed):
            emit("stream.consumer_removed", group=self._group, consumer=name)
        for entry in lost:
            emit("stream.entry_lost", group=self._group, entry=entry.decode())
        return bool(claimed or ours > in_hand)

    async def _take_name(self, stop: asyncio.Event) -> None:
        """Ours at once, or when whoever has it doesn't beat any more; else with a suffix."""
        left, stale = float("inf"), (LIFE - OVERDUE) * 1000

        async def take() -> int:
            return await self._beat(stale)

        while (found := await persist(take, stop)) > 0 and not stop.is_set():
            if found > left:
                self._rename()
            left = found
            await pause(stop, BEAT_EVERY / 4)

    async def _beat_on(self) -> None:
        # Not for ever: Python 3.11's wait_for, within the client, may swallow a cancellation.
        while not self._leaving:
            await asyncio.sleep(BEAT_EVERY)
            try:
                if await self._beat() > 0:  # we were paused, or cut off, so long that it was taken
                    self._rename()
                    await self._beat()
            except Outage:  # said by those who work
                self._judges_from = monotonic() + GRACE

    async def _beat(self, stale: float = 0) -> int:
        with redis_outage():
            async with asyncio.timeout(ANSWER_LIMIT):
                told = (self._token, int(LIFE * 1000), int(stale), self._next_token)
                found = int(await self._redis.eval(_BEAT, 1, self._key(self.name), *told))
        if found < 0:
            self._token, self._next_token = self._next_token, token_hex(8)
            self._judges_from = monotonic() + GRACE
        return found

    def _rename(self) -> None:
        taken, self.name = self.name, f"{self._settings.consumer}-{self.process}"
        emit("stream.name_taken", group=self._group, consumer=taken, instead=self.name)

    async def _leave(self, in_order: bool) -> None:  # noqa: FBT001  # what `joined` found out
        with suppress(Outage), redis_outage():
            async with asyncio.timeout(1):  # a stop has a limit; a key ends by itself
                await self._script(_LEAVE, int(in_order))

    async def _script(self, source: str, *more: str | int) -> Any:
        keys = (self._settings.stream, self._key(self.name))
        return await self._redis.eval(source, 2, *keys, self._token, self._group, self.name, *more)

    def _key(self, name: str) -> str:
        return self._settings.helper_key("alive", self._group, name)


def _names(found: list[bytes]) -> list[str]:
    return [name.decode(errors="backslashreplace") for name in found]
