"""View: all that Redis knows of a stream and its group, read in one step."""

from dataclasses import dataclass
from typing import Any

from tests.consuming import GROUP, alive

_VIEW = """
local function group_of()
  local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
  for _, each in ipairs(groups.err and {} or groups) do
    local of = {}
    for i = 1, #each, 2 do of[each[i]] = each[i + 1] end
    if of.name == ARGV[2] then return of end
  end
end
local group, names, pending = group_of(), {}, {}
if group then
  pending = redis.call('XPENDING', KEYS[1], ARGV[2], '-', '+', 10000)
  for _, each in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[2])) do
    table.insert(names, each[2])
  end
end
local alive = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  table.insert(alive, { string.sub(key, #ARGV[1] + 1), redis.call('GET', key),
                        redis.call('PTTL', key) })
end
return { group and group['last-delivered-id'] or '', names, pending, alive,
         redis.call('HGETALL', KEYS[2]), redis.call('XRANGE', KEYS[1], '-', '+'),
         redis.call('XRANGE', KEYS[3], '-', '+') }
"""

# ARGV: what begins every heartbeat's key, ms.
_AGE = """
local ended = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local left = redis.call('PTTL', key) - ARGV[2]
  if left > 0 then
    redis.call('PEXPIRE', key, left)
  else
    redis.call('DEL', key)
    table.insert(ended, string.sub(key, #ARGV[1] + 1))
  end
end
return ended
"""


@dataclass(frozen=True)
class View:
    """`delivered` is None without a group; `alive` has each heartbeat's token and ms left."""

    delivered: tuple[int, int] | None
    consumers: set[bytes]
    pending: dict[bytes, bytes]
    alive: dict[bytes, tuple[bytes, int]]
    marks: dict[bytes, bytes]
    ids: list[bytes]
    letters: list[tuple[bytes, bytes]]  # entry, reason

    def is_to_come(self, entry: bytes) -> bool:
        return self.delivered is None or order(entry) > self.delivered


def order(entry: bytes) -> tuple[int, int]:
    """Ids as Redis orders them."""
    ms, _, sequence = entry.partition(b"-")
    return int(ms), int(sequence)


async def view(redis: Any, stream: str) -> View:
    keys = (stream, f"{{{stream}}}:suspect:{GROUP}", f"{{{stream}}}:dead:{GROUP}")
    delivered, names, pending, beats, marks, ids, letters = await redis.eval(
        _VIEW, 3, *keys, alive(stream, ""), GROUP
    )
    return View(
        delivered=order(delivered) if delivered else None,
        consumers=set(names),
        pending={each[0]: each[1] for each in pending},
        alive={name: (token, left) for name, token, left in beats},
        marks=dict(zip(marks[::2], marks[1::2], strict=True)),
        ids=[each[0] for each in ids],
        letters=[(fields[1], fields[7]) for _, fields in letters],
    )


async def grow_older(redis: Any, stream: str, seconds: float) -> list[bytes]:
    """Let heartbeats age; returns whose ended."""
    ended = await redis.eval(_AGE, 0, alive(stream, ""), int(seconds * 1000))
    return list(ended)
