-- The only writer of the tick stream. Every verb is one atomic step, so that what is checked still holds when it acts.
--
-- KEYS: stream, lease, dead letters, how many entries each group lost to the cap, who listens where
-- ARGV: verb, token, lease in ms, expected position, then what the verb takes
--   look     (token and position ignored)
--   take     (position ignored)
--   append   number of refused messages, for each: id, channel, message (cut), reason; then for the rest, if there is any:
--            runs of ids as ms-sequence+count with commas between, two bytes (low, high) for each message's channel, two
--            for each message's length, all messages in one string, and the channels' names
--   trim     how many entries may stay, whoever needs more; about how many go in one step; names of the groups that must
--            have had an entry before it goes
--   release  (position ignored)
--   listen   (position ignored) a node to listen on, if nobody listens yet; the bridge's name; a node that
--            it left as useless, so whoever is there will leave too
-- ARGV[5] is the id of a message in flight, empty if there is none. ARGV[6] is a channel, ARGV[7] what to tell the other
-- bridges there, if the verb is done: so what they hear is in the order of what was done. ARGV[8] is the node that this
-- bridge listens on and its name, empty if that node is this one; ARGV[9] what it hears: nothing, soon, prices, or others.
-- Reply: status, position (entries ever added), last generated id, entries trimmed, 1 if the message in flight is there,
-- how many heard what was told (or hear the others, if they don't listen here); of a trim also what the cap cut of each
-- group: name, entries it wasn't given, entries it hadn't acknowledged
--   OK       done
--   HELD     somebody else has the lease
--   APART    as HELD, and whoever has it listens on another node than this bridge
--   FREE     nobody has it
--   LATELY   as FREE, and there are other bridges, or were lately: counted where listeners say themselves that they are
--   FENCED   the lease isn't ours, or ran out: nothing was done
--   MOVED    the position isn't the expected one: nothing was done
--   a node   to listen on
local stream, lease, dead, overrun, listeners = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local verb, token, lease_ms, expected = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local in_flight, channel, words, listener, hears = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local first = 10
local CHOSEN = 5000 -- ms that whoever chose a node has to get there
local LATELY = 30000 -- ms for which a listener isn't forgotten that said no more
local HOLDER = '!' -- in a bridge's place: whoever has the lease listens there
local LETTERS_KEPT = 10000 -- the newest, of about a kilobyte each: they must not fill Redis

local function field(list, name)
  for i = 1, #list, 2 do
    if list[i] == name then return list[i + 1] end
  end
end

local function position()
  if redis.call('EXISTS', stream) == 0 then return 0, '0-0' end
  local info = redis.call('XINFO', 'STREAM', stream)
  return field(info, 'entries-added'), field(info, 'last-generated-id')
end

-- A batch lands whole or not at all, so one of its messages answers for all: it is in the stream, or a dead letter.
local function landed()
  if in_flight == '' then return 0 end
  for _, key in ipairs({ stream, dead }) do
    if #redis.call('XRANGE', key, in_flight, in_flight) > 0 then return 1 end
  end
  return 0
end

local added, last = position()

local function before(a, b)
  local a_ms, a_seq = string.match(a, '(%d+)-(%d+)')
  local b_ms, b_seq = string.match(b, '(%d+)-(%d+)')
  if a_ms ~= b_ms then return tonumber(a_ms) < tonumber(b_ms) end
  return tonumber(a_seq) < tonumber(b_seq)
end

-- The oldest entry that a group still needs: its oldest pending one, else the last it was given.
local function oldest_needed(group)
  local pending = redis.call('XPENDING', stream, group[2])
  return pending[1] > 0 and pending[2] or field(group, 'last-delivered-id')
end

local function found_groups()
  local groups = {}
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do groups[field(group, 'name')] = group end
  return groups
end

-- The oldest id that any of the named groups needs; nil when one of them doesn't exist yet.
local function floor(groups, names)
  local lowest
  for _, name in ipairs(names) do
    local group = groups[name]
    if not group then return nil end
    local needed = oldest_needed(group)
    if not lowest or before(needed, lowest) then lowest = needed end
  end
  return lowest
end

-- What every group has had. Whole nodes first, since only so a limit can be given; entry by entry what is left of the last.
local function trim_had(groups, names, step)
  local oldest = floor(groups, names)
  if not oldest then return 0 end
  local removed = redis.call('XTRIM', stream, 'MINID', '~', oldest, 'LIMIT', step)
  if removed * 2 < step then removed = removed + redis.call('XTRIM', stream, 'MINID', '=', oldest) end
  return removed
end

local function oldest_entry() return redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1][1] end

-- How many of the `gone` oldest of `length` entries the group wasn't given. Where Redis doesn't know it: as many as can be.
local function cut_unread(group, gone, length, kept)
  if not group then return gone end -- it will begin with the oldest that is there
  local lag = field(group, 'lag')
  if not lag then return before(field(group, 'last-delivered-id'), kept) and gone or 0 end
  return math.max(0, math.min(lag, length) - (length - gone))
end

local function cut_pending(group, gone, begin, kept)
  if not group or field(group, 'pending') == 0 then return 0 end
  return #redis.call('XPENDING', stream, field(group, 'name'), begin, '(' .. kept, gone)
end

-- What is beyond the cap, the oldest first, whoever needs it.
local function trim_cap(groups, names, cap, step)
  local length = redis.call('XLEN', stream)
  local gone = math.min(length - cap, step)
  if gone <= 0 then return 0, {} end
  local begin = oldest_entry()
  redis.call('XTRIM', stream, 'MAXLEN', '=', length - gone)
  -- From here on nothing may fail: what is gone is to be counted and said, whatever else is wrong.
  local kept, lost = oldest_entry(), {}
  for _, name in ipairs(names) do
    local group = groups[name]
    local unread, pending = cut_unread(group, gone, length, kept), cut_pending(group, gone, begin, kept)
    if group and unread > 0 then
      -- Redis goes on counting what is gone as still to be read; here it can be told.
      redis.pcall('XGROUP', 'SETID', stream, name, field(group, 'last-delivered-id'),
                  'ENTRIESREAD', added - (length - gone))
    end
    if unread + pending > 0 then
      redis.pcall('HINCRBY', overrun, name, unread + pending)
      for _, each in ipairs({ name, unread, pending }) do lost[#lost + 1] = each end
    end
  end
  return gone, lost
end

local function now() -- in ms
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Of those who listen, or did in the last half minute: node, name, whether it is lately. Two writes come first that need no
-- memory, so that a full Redis lets the script go on. What is too far ahead was said by a master whose clock was ahead.
local function listed()
  local at = now()
  redis.call('ZREMRANGEBYSCORE', listeners, '-inf', at - LATELY)
  redis.call('ZREMRANGEBYSCORE', listeners, at + CHOSEN + 10 * lease_ms, '+inf')
  local found, members = {}, redis.call('ZRANGE', listeners, 0, -1, 'WITHSCORES')
  for i = 1, #members, 2 do
    local node, name = string.match(members[i], '(%S*) (%S+)')
    found[#found + 1] = { node = node, name = name, past = tonumber(members[i + 1]) < at }
  end
  return found
end

local function list(node, name, ms) redis.call('ZADD', listeners, now() + ms, node .. ' ' .. name) end

local apart, lately = false, false -- whoever appends listens on another node; there are others, or were lately

-- How many hear the others where this bridge listens, itself counted if it hears the prices.
local function listening()
  local node, name = string.match(listener, '(%S*) (%S+)')
  local connected = (hears == 'prices' or hears == 'others') and 1 or 0
  local here = 0
  for _, each in ipairs(listed()) do
    if each.name == HOLDER then
      apart = apart or (connected == 1 and not each.past and each.node ~= node)
      if verb == 'append' then redis.call('ZREM', listeners, each.node .. ' ' .. HOLDER) end -- it was, or is said anew
    elseif each.name ~= name then
      lately = true
      if each.node == node and not each.past then here = here + 1 end
    end
  end
  local ms = math.max(1000, lease_ms)
  if hears == 'others' then list(node, name, ms) end
  if hears == 'nothing' then redis.call('ZREM', listeners, listener) end
  if verb == 'append' and connected == 1 then list(node, HOLDER, ms) end
  return here + connected
end

local function tell()
  local heard = words == '' and 0 or redis.call('PUBLISH', channel, words)
  return listener == '' and heard or listening()
end

if verb == 'listen' then
  local node, name, left = ARGV[first], ARGV[first + 1], ARGV[first + 2]
  local others, holder
  for _, each in ipairs(listed()) do
    if each.name == name then
      redis.call('ZREM', listeners, each.node .. ' ' .. name)
    elseif not each.past and each.node ~= left then
      others = each.node
      if each.name == HOLDER then holder = each.node end
    end
  end
  node = holder or others or node
  list(node, name, CHOSEN)
  return { node, added, last, 0, 0, 0 }
end

if verb == 'look' then
  local heard, held = tell(), redis.call('EXISTS', lease) == 1
  local status = held and (apart and 'APART' or 'HELD') or (lately and 'LATELY' or 'FREE')
  return { status, added, last, 0, 0, heard }
end

if verb == 'take' then
  -- A script whose first write needs no memory may go on to one that does. Without the lease nobody could trim a full
  -- Redis; this write removes nothing.
  redis.call('XTRIM', stream, 'MINID', '=', '0-0')
  local taken = redis.call('SET', lease, token, 'NX', 'PX', lease_ms) or redis.call('GET', lease) == token
  return { taken and 'OK' or 'HELD', added, last, 0, landed(), taken and tell() or 0 }
end

if redis.call('GET', lease) ~= token then return { 'FENCED', added, last, 0, 0, 0 } end

if verb == 'release' then
  redis.call('DEL', lease)
  if listener ~= '' then redis.call('ZREM', listeners, listener) end
  return { 'OK', added, last, 0, 0, 0 }
end

if tostring(added) ~= expected then
  redis.call('PEXPIRE', lease, lease_ms)
  return { 'MOVED', added, last, 0, landed(), 0 }
end

if verb == 'trim' then
  redis.call('PEXPIRE', lease, lease_ms)
  if added == 0 then return { 'OK', added, last, 0, 0, 0 } end
  local cap, step = tonumber(ARGV[first]), tonumber(ARGV[first + 1])
  local groups, names = found_groups(), { unpack(ARGV, first + 2) }
  local removed = trim_had(groups, names, step)
  if removed * 2 >= step then return { 'OK', added, last, removed, 0, 0 } end
  local cut, lost = trim_cap(groups, names, cap, step)
  return { 'OK', added, last, removed + cut, 0, 0, unpack(lost) }
end

-- The appends are the first writes: so a full Redis refuses all of them, or none.
local rest = first + 1 + 4 * tonumber(ARGV[first])
for i = first + 1, rest - 1, 4 do
  local reply = redis.pcall('XADD', dead, 'MAXLEN', '~', LETTERS_KEPT, ARGV[i],
                            'channel', ARGV[i + 1], 'message', ARGV[i + 2], 'reason', ARGV[i + 3])
  -- The same id again, after a lost reply, is there already.
  if reply.err and not string.find(reply.err, 'equal or smaller', 1, true) then return reply end
end
local runs, channels, lengths, messages = ARGV[rest] or '', ARGV[rest + 1], ARGV[rest + 2], ARGV[rest + 3]
local count, begin, names = 0, 1, rest + 4
for ms, first_sequence, many in string.gmatch(runs, '(%d+)-(%d+)%+(%d+)') do
  for sequence = tonumber(first_sequence), first_sequence + many - 1 do
    local low, high = string.byte(channels, 2 * count + 1, 2 * count + 2)
    local short, long = string.byte(lengths, 2 * count + 1, 2 * count + 2)
    local past = begin + short + 256 * long
    last = ms .. '-' .. sequence
    redis.call('XADD', stream, last, 'channel', ARGV[names + low + 256 * high], 'message', string.sub(messages, begin, past - 1))
    count, begin = count + 1, past
  end
end
redis.call('PEXPIRE', lease, lease_ms)
return { 'OK', added + count, last, 0, 0, tell() }
