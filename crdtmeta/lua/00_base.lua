-- The engine's ground: names, bindings, the state of one call.
--
-- While a library loads there are no globals, so everything that Redis offers is bound by init() in the first call.
-- All files are one chunk; each wraps its own locals in do … end and shares its functions through E.

local E = {
  handlers = {},   -- client command, upper case → function(argv, i, n): argv[i] is the name, n counts name and arguments
  merge = {},      -- what the effects share (60_merge.lua)
  effects = {},    -- effect kind → function(list, p): applies the effect at list[p], returns the position after it
  refilled = {},   -- "db:key" → entry that waits, for keys whose values have been fetched for it
  stats = {entries = 0, effects = 0, conflicts = 0, applied_entries = 0, applied_effects = 0, skipped_entries = 0, expired = 0, visited_keys = 0, collected_keys = 0, merged_keys = 0},
}

local PREFIX = '@PREFIX@'
local LOG, SELF, EPOCHS = PREFIX .. 'log', PREFIX .. 'self', PREFIX .. 'epochs'
local FRONTIER, CONTEXT, TTLS = PREFIX .. 'frontier', PREFIX .. 'context', PREFIX .. 'ttl'
local COUNT, CONFLICTS, PAUSED = PREFIX .. 'count', PREFIX .. 'conflicts', PREFIX .. 'paused'
local NEWEST, GC, AHEAD = PREFIX .. 'newest', PREFIX .. 'gc', PREFIX .. 'ahead'
local MERGES, FLUSHED, HELD, ALIVE = PREFIX .. 'merges', PREFIX .. 'flushed', PREFIX .. 'held', PREFIX .. 'alive'
local SCRATCH, WAKE = PREFIX .. 'scratch', PREFIX .. 'wake'
local TAGGED = PREFIX .. '0{'
local TICKS = 2048             -- sequence numbers per millisecond in a time t
local EXACT = 9007199254740992 -- 2^53: below it a double is an exact integer
local RECHECK = 100            -- ms: no demotion and new promotion of this server is shorter, so none goes unnoticed
local SHARE_LIMIT = 288230376151711744 -- 2^58: a counter share outside ± this becomes a plain write

-- Bound by init().
local call, try, mpack, munpack, unpack_, byte, char, find, sub, match, format, upper, floor, concat, tonumber_, tostring_, type_, pairs_, next_, error_, ppcall, sort

-- Set by arming; gone with the server's life, which is the point.
local armed          -- content of crdt:self that we are armed for
local held           -- why clients may not write now, or nil
local checked = 0    -- ms at which crdt:self was last compared
local origin         -- our origin
local last_t = 0     -- t of the newest log entry
local told = 0       -- t up to which somebody was told that all is recorded: entries come above, also when the clock goes back
local last_effect = 0 -- t of the newest one with effects, or of a later one
local written = 0    -- effects that the epoch has had; the strings of a run count one by one

-- State of one call.
local now            -- ms
local t              -- t of the entry that this call will write
local op             -- ordinal of the newest effect
local eff, effn      -- the entry's flat list of effects
local eff_db         -- database of the newest effect in the list
local leads          -- nil, or database → key → vector: open keys that are ahead of the frontier and whose effects must say so (26_ahead.lua)
local runs, runn     -- what the entry's M effects wrote, as it came: fields of the log entry, so that Lua need not copy it
local unrecorded     -- true: no metadata is kept (87_plain.lua)
local in_runs        -- strings that they wrote beyond one each
local db             -- database that is selected
local open           -- the entry is not finished: other calls of the same MULTI/EXEC follow
local counted        -- database → change of the number of companions
local ttl_queue      -- "db:key" → score, or false to remove
local stamp_prefix   -- msgpack of 1, origin, t: a companion of this call is this and an ordinal
local remote         -- nil, or the context of the remote effect that is applied: {o, t, op, seen = map origin → t, runs = what its M effects write}

-- Keys that clients of the proxies wait for, database → key → true (46_blocking.lua). The next effect on one wakes them.
local waiting, fading = {}, {}

local packed_op = {} -- small ordinal → its msgpack

do
  function E.init()
    if call then return end
    call, try, mpack, munpack = redis.call, redis.pcall, cmsgpack.pack, cmsgpack.unpack
    unpack_, byte, char, find, sub = unpack, string.byte, string.char, string.find, string.sub
    match, format, upper, floor, concat = string.match, string.format, string.upper, math.floor, table.concat
    tonumber_, tostring_, type_, pairs_, next_ = tonumber, tostring, type, pairs, next
    error_, ppcall, sort = error, pcall, table.sort
    for i = 1, 127 do packed_op[i] = mpack(i) end
  end

  function E.select(to)
    if to ~= db then
      call('SELECT', to)
      db = to
    end
  end

  -- begin opens a call on database d, or answers an error reply when the library is not armed for this very data.
  function E.begin(d)
    E.init()
    db = d
    if open then
      E.finish()
      E.select(d)
    end
    local time = call('TIME')
    now = time[1] * 1000 + floor(time[2] / 1000)
    if not armed or now - checked >= RECHECK or now < checked then
      E.select(0)
      if not armed or call('GET', SELF) ~= armed then
        armed = nil
        return {err = 'CRDTTAKEOVER the engine is not armed for this server'}
      end
      checked = now
      E.select(d)
    end
    t = now * TICKS
    if t <= told then t = told + 1 end
    if t <= last_t then t = last_t + 1 end
    E.begin_entry()
    counted, ttl_queue, remote = {}, {}, nil
    stamp_prefix = mpack(1, origin, t)
  end

  -- resume opens a call that may be one of several in a MULTI/EXEC, which share one entry. The entry stays open should the
  -- call be killed.
  function E.resume(d)
    if not open then return E.begin(d) end
    db = d
  end

  function E.begin_entry()
    op, effn, eff, eff_db = 0, 3, {'e', origin, 0}, 0
    runs, runn, in_runs, leads = {}, 0, 0, nil
  end

  function E.entry_id(at)
    return format('%d-%d', floor(at / TICKS), at % TICKS)
  end

  -- entry_time is the inverse; it answers nil for what is no id.
  function E.entry_time(id)
    local ms, seq = match(id, '^(%d+)%-(%d+)$')
    return ms and tonumber_(ms) * TICKS + tonumber_(seq)
  end

  -- finish writes what the call has gathered: due times, counts, and the log entry.
  function E.finish()
    open = nil
    if unrecorded then return E.forget() end
    for name, score in pairs_(ttl_queue) do
      E.select(0)
      if score then call('ZADD', TTLS, format('%.0f', score), name) else call('ZREM', TTLS, name) end
    end
    for d, change in pairs_(counted) do
      if change ~= 0 then
        E.select(0)
        call('HINCRBY', COUNT, d, change)
      end
    end
    if op > 0 then
      E.select(0)
      written = written + op + in_runs
      eff[3] = written
      call('XADD', LOG, E.entry_id(t), 'b', mpack(eff), unpack_(runs, 1, runn))
      last_t, last_effect = t, t
      E.stats.entries = E.stats.entries + 1
      E.stats.effects = E.stats.effects + op
    end
    E.wake()
  end

  -- count_companion notes that a companion of the selected database came (1) or went (-1).
  function E.count_companion(change)
    counted[db] = (counted[db] or 0) + change
  end

  -- in_database says that the following effects are in the selected database.
  function E.in_database()
    if eff_db ~= db then
      eff[effn + 1], eff[effn + 2] = 'D', db
      effn, eff_db = effn + 2, db
    end
  end

  -- emit adds one effect to the entry and gives it the next ordinal. Arguments are the effect's kind and values.
  function E.emit(...)
    if eff_db ~= db then E.in_database() end
    if leads then E.say_ahead(...) end
    op = op + 1
    local n = select('#', ...)
    for i = 1, n do eff[effn + i] = (select(i, ...)) end
    if waiting[db] or fading[db] then
      local at = E.key_at[eff[effn + 1]]
      if at then E.stir(eff[effn + 1 + at]) end
    end
    effn = effn + n
  end

  -- slot_bytes gives two bytes that hash to the same cluster slot as key: CRC16 run forward over the key, then
  -- backward over two zero bytes. Of the four checksums of a slot one has no closing brace.
  local function slot_bytes(key)
    local crc = 0
    for i = 1, #key do
      crc = bit.bxor(crc, byte(key, i) * 256)
      for _ = 1, 8 do
        crc = crc * 2
        if crc >= 65536 then crc = bit.bxor(crc - 65536, 0x1021) end
      end
    end
    for quarter = 0, 3 do
      local c = (crc % 16384) + quarter * 16384
      for _ = 1, 16 do
        if c % 2 == 1 then c = (bit.bxor(c, 0x1021)) / 2 + 32768 else c = c / 2 end
      end
      local high, low = floor(c / 256), c % 256
      if high ~= 125 and low ~= 125 then return char(high, low) end
    end
  end

  -- companion names the companion of a user key: in the key's own slot, and never the same for two keys.
  function E.companion(key)
    if key ~= '' and not find(key, '[{}]') then return TAGGED .. key .. '}' end
    local open = find(key, '{', 1, true)
    local close = open and find(key, '}', open + 1, true)
    if close and close > open + 1 then return PREFIX .. '1' .. key end
    return PREFIX .. '2{' .. slot_bytes(key) .. '}' .. key
  end

  function E.slice(list, first, last)
    local out = {}
    for j = first, last do out[j - first + 1] = list[j] end
    return out
  end

  -- integer reads a number as Redis does in arguments, or answers nil or false.
  function E.integer(text)
    return (text == '0' or find(text, '^-?[1-9]%d*$')) and tonumber_(text)
  end

  -- in_parts runs a command on a key with a list of any length, by call or try. It answers an error of try, or nil and the
  -- sum of the replies.
  function E.in_parts(how, command, key, list)
    local total, last = 0, #list
    for i = 1, last, 4000 do
      local reply = how(command, key, unpack_(list, i, i + 3999 < last and i + 3999 or last))
      if type_(reply) == 'table' then return reply end
      total = total + reply
    end
    return nil, total
  end

  -- Commands that may name more elements than one redis.call can carry: how many arguments repeat in each part, and
  -- how many come with each element.
  local PARTS = {
    SADD = {2, 1}, SREM = {2, 1}, HSET = {2, 2}, HMSET = {2, 2}, HDEL = {2, 1}, ZADD = {2, 2}, ZREM = {2, 1}, GEOADD = {2, 3},
    DEL = {1, 1}, UNLINK = {1, 1}, MSET = {1, 2}, PFADD = {2, 1},
    LPUSH = {2, 1}, RPUSH = {2, 1}, LPUSHX = {2, 1}, RPUSHX = {2, 1},
  }
  local REPLIES_LENGTH = {LPUSH = true, RPUSH = true, LPUSHX = true, RPUSHX = true}
  local LONGEST = 7000

  -- in_parts_of runs a long command part by part, on key in the place of its own, if given. It answers an error, or what the
  -- parts replied: the sum of numbers.
  local function in_parts_of(argv, i, n, head, key)
    local total, reply = 0, nil
    for j = i + head, i + n - 1, 6000 do
      local part, m = {}, head
      for h = 0, head - 1 do part[h + 1] = argv[i + h] end
      if key then part[2] = key end
      for e = j, j + 5999 < i + n - 1 and j + 5999 or i + n - 1 do
        m = m + 1
        part[m] = argv[e]
      end
      reply = try(unpack_(part, 1, m))
      if type_(reply) == 'table' and reply.err then return reply end
      if type_(reply) == 'number' then total = total + reply end
    end
    return type_(reply) == 'number' and not REPLIES_LENGTH[upper(argv[i])] and total or reply
  end

  -- plain_places says that all coordinates are such as Redis takes. Of others it knows better itself.
  local function plain_places(argv, first, last)
    local number = '^%-?%d+%.?%d*$'
    for j = first, last, 3 do
      local lon, lat = argv[j], argv[j + 1]
      if not find(lon, number) or not find(lat, number) then return false end
      lon, lat = tonumber_(lon), tonumber_(lat)
      if lon < -180 or lon > 180 or lat < -85 or lat > 85 then return false end
    end
    return true
  end

  -- native runs a client's command as it is. A very long one runs in parts, after a check of what could fail later. head is
  -- how many arguments stand before the elements, where options may be among them.
  function E.native(argv, i, n, head)
    if n <= LONGEST then return try(unpack_(argv, i, i + n - 1)) end
    local name = upper(argv[i])
    local parts = PARTS[name]
    head = head or (parts and parts[1])
    if not parts then return {err = "ERR too many arguments for '" .. string.lower(name) .. "' in one command"} end
    if (n - head) % parts[2] ~= 0 then
      if name == 'ZADD' or name == 'GEOADD' then return {err = 'ERR syntax error'} end
      return {err = "ERR wrong number of arguments for '" .. string.lower(name) .. "' command"}
    end
    if name == 'ZADD' then
      for j = i + head, i + n - 2, 2 do
        local score = tonumber_(argv[j])
        if not score or score ~= score then return {err = 'ERR value is not a valid float'} end
      end
    elseif name == 'GEOADD' and not plain_places(argv, i + head, i + n - 1) then
      local tried = in_parts_of(argv, i, n, head, SCRATCH)
      call('DEL', SCRATCH)
      if type_(tried) == 'table' then return tried end
    end
    return in_parts_of(argv, i, n, head)
  end
end
