-- Streams as they lie in Redis: ids, entries that have to go below others, groups.
--
-- The cells of a stream have the letter x: "x" alone says that the stream exists and is written by whatever adds to it, "x<id>"
-- is an entry whose value is the msgpack list of its fields and values, and "xg<name>" is a consumer group (45_groups.lua).

do
  local LIMIT = '18446744073709551615'

  local function halves(digits)
    if #digits <= 15 then return 0, tonumber_(digits) end
    return tonumber_(sub(digits, 1, -16)), tonumber_(sub(digits, -15))
  end

  local function less(a, b)
    local a1, a2 = halves(a)
    local b1, b2 = halves(b)
    if a1 ~= b1 then return a1 < b1 end
    return a2 < b2
  end

  -- within_64_bits says whether digits are a number of 64 bits.
  function E.within_64_bits(digits) return not less(LIMIT, digits) end

  -- moved adds a small number to digits that may be too many for a Lua number.
  local function moved(digits, by)
    local high, low = halves(digits)
    low = low + by
    if low < 0 then
      high, low = high - 1, low + 1000000000000000
    elseif low >= 1000000000000000 then
      high, low = high + 1, low - 1000000000000000
    end
    if high == 0 then return format('%.0f', low) end
    return format('%.0f%015.0f', high, low)
  end

  function E.id_split(id)
    return match(id, '^(%d+)%-(%d+)$')
  end

  function E.id_before(a, b)
    local am, as = match(a, '^(%d+)%-(%d+)$')
    local bm, bs = match(b, '^(%d+)%-(%d+)$')
    if am ~= bm then return less(am, bm) end
    return less(as, bs)
  end

  -- id_previous is the highest id below one that is not 0-0.
  function E.id_previous(id)
    local ms, seq = match(id, '^(%d+)%-(%d+)$')
    if seq ~= '0' then return ms .. '-' .. moved(seq, -1) end
    return moved(ms, -1) .. '-' .. LIMIT
  end

  E.SEQUENCES = 32768 -- how far two sequences of one region in one epoch are apart

  -- first_sequence is the lowest one of a region in an epoch: its id modulo 64, and beyond that another one for each epoch, since a
  -- server that lost entries must not give their ids to others.
  function E.first_sequence(o)
    local region, counter, random = match(o, '^(%d+)%.%d+%.(%d+)%-(%x+)$')
    return tonumber_(region) + (counter == '1' and 0 or 64 * (1 + (tonumber_(random, 16) + counter) % 511))
  end

  -- next_sequence is the lowest one above seq that is congruent to first, or nil past 64 bits. A power of ten has as many factors of
  -- two, so the last fifteen digits decide.
  function E.next_sequence(seq, first)
    local step = (first - tonumber_(sub(seq, -15))) % E.SEQUENCES
    seq = moved(seq, step == 0 and E.SEQUENCES or step)
    if not less(LIMIT, seq) then return seq end
  end

  -- id_above is the lowest id of this region that is above one given and not before a time in ms, or nil.
  function E.id_above(id, ms, first)
    local last, seq = match(id, '^(%d+)%-(%d+)$')
    ms = format('%.0f', ms)
    if less(last, ms) then return ms .. '-' .. first end
    seq = E.next_sequence(seq, first)
    if seq then return last .. '-' .. seq end
    if last ~= LIMIT then return moved(last, 1) .. '-' .. first end
  end

  local function by_id(a, b) return E.id_before(a[1], b[1]) end

  function E.sort_entries(list) sort(list, by_id) end

  local function map_of(flat)
    local map = {}
    for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
    return map
  end

  -- stream_info is XINFO STREAM as a map, or nil where there is no stream.
  function E.stream_info(k)
    local flat = try('XINFO', 'STREAM', k)
    if not flat.err then return map_of(flat) end
  end

  -- groups_of lists the groups of a stream, each a map as XINFO GROUPS has it.
  function E.groups_of(k)
    local list, all = {}, try('XINFO', 'GROUPS', k)
    if all.err then return list end
    for i = 1, #all do list[i] = map_of(all[i]) end
    return list
  end

  function E.group_of(k, name)
    for _, group in pairs_(E.groups_of(k)) do
      if group.name == name then return group end
    end
  end

  -- make_stream creates an empty stream.
  function E.make_stream(k)
    call('XGROUP', 'CREATE', k, '', '$', 'MKSTREAM')
    call('XGROUP', 'DESTROY', k, '')
  end

  local function add(k, entry)
    return try('XADD', k, entry[1], unpack_(munpack(entry[2])))
  end

  local function add_all(k, list, first)
    for i = first, #list do
      local reply = add(k, list[i])
      if reply.err then error_(reply.err) end
    end
  end

  -- sets_back says whether this server's XSETID goes back below an id that XDEL has removed. Tried once; Redis 7.0 does, later
  -- ones refuse.
  local back
  local function sets_back()
    if back == nil then
      call('XADD', SCRATCH, '1-1', 'f', 'v')
      call('XADD', SCRATCH, '2-1', 'f', 'v')
      call('XDEL', SCRATCH, '2-1')
      back = not try('XSETID', SCRATCH, '1-1').err
      call('DEL', SCRATCH)
    end
    return back
  end

  -- rebuild makes the stream anew with all that belongs to it. What is lost: when consumers were last seen, and pending
  -- entries of which the stream has nothing any more.
  local function rebuild(k, list)
    local full = map_of(call('XINFO', 'STREAM', k, 'FULL', 'COUNT', 0))
    local at = call('PEXPIRETIME', k)
    call('UNLINK', k)
    add_all(k, list, 1)
    for _, group in pairs_(full.groups) do
      group = map_of(group)
      local name = group.name
      call('XGROUP', 'CREATE', k, name, group['last-delivered-id'], 'ENTRIESREAD', group['entries-read'] or -1)
      for _, consumer in pairs_(group.consumers) do call('XGROUP', 'CREATECONSUMER', k, name, map_of(consumer).name) end
      for _, p in pairs_(group.pel or group.pending) do
        call('XCLAIM', k, name, p[2], 0, p[1], 'TIME', format('%.0f', p[3]), 'RETRYCOUNT', p[4], 'FORCE', 'JUSTID')
      end
    end
    if at > 0 then call('PEXPIREAT', k, format('%.0f', at)) end
  end

  -- merged joins what the stream has from the first late entry on with the late ones, which replace entries of the same
  -- id. It answers the list, and how many entries are new.
  local function merged(natives, late)
    local list, i, new = {}, 1, 0
    for j = 1, #natives do
      local id = natives[j][1]
      while late[i] and E.id_before(late[i][1], id) do
        list[#list + 1] = late[i]
        i, new = i + 1, new + 1
      end
      if late[i] and late[i][1] == id then
        list[#list + 1] = late[i]
        i = i + 1
      else
        list[#list + 1] = {id, mpack(natives[j][2])}
      end
    end
    for j = i, #late do
      list[#list + 1] = late[j]
      new = new + 1
    end
    return list, new
  end

  -- reinsert puts entries below the last one: XADD refuses them, so what is above is taken out and added again.
  local function reinsert(k, info, late)
    local last, deleted = info['last-generated-id'], info['max-deleted-entry-id']
    local list, new
    if sets_back() then
      local newer, ids = call('XRANGE', k, late[1][1], '+'), {}
      for i = 1, #newer do ids[i] = newer[i][1] end
      list, new = merged(newer, late)
      E.in_parts(call, 'XDEL', k, ids)
      local top = call('XREVRANGE', k, '+', '-', 'COUNT', 1)[1]
      call('XSETID', k, top and top[1] or '0-0')
      add_all(k, list, 1)
    else
      -- XTRIM does not count as deleting, so all entries go; unless an XDEL of a client has been above the late ones.
      list, new = merged(call('XRANGE', k, '-', '+'), late)
      if E.id_before(deleted, list[1][1]) then
        call('XTRIM', k, 'MAXLEN', 0)
        call('XSETID', k, deleted)
        add_all(k, list, 1)
      else
        rebuild(k, list)
      end
    end
    -- 0-1 stands for "nothing was deleted", which XSETID cannot say.
    call('XSETID', k, last, 'ENTRIESADDED', format('%.0f', info['entries-added'] + new),
      'MAXDELETEDID', deleted == '0-0' and '0-1' or deleted)
  end

  -- insert_entries adds entries {id, value}, sorted by id, wherever they belong. It answers the ids of those that went below
  -- the stream's last one.
  function E.insert_entries(k, list)
    if #list == 0 then return {} end
    local reply = add(k, list[1])
    if not reply.err then
      add_all(k, list, 2)
      return {}
    end
    local info = E.stream_info(k)
    if not info then error_(reply.err) end
    local late, ids, last = {}, {}, info['last-generated-id']
    local n = 0
    while list[n + 1] and not E.id_before(last, list[n + 1][1]) do
      n = n + 1
      late[n], ids[n] = list[n], list[n][1]
    end
    if n == 0 then error_(reply.err) end
    reinsert(k, info, late)
    add_all(k, list, n + 1)
    return ids
  end

  -- read_entry gives the value of one entry in the form of a cell's, or nil.
  function E.read_entry(k, id)
    local found = try('XRANGE', k, id, id)
    if found[1] then return mpack(found[1][2]) end
  end

  -- lift_stream is lift's part for streams: natives gets what the user's key holds, and groups without a creation get one that
  -- everybody has seen.
  function E.lift_stream(S, keep, natives)
    natives[''] = ''
    local all, own = call('XRANGE', S.k, '-', '+'), {}
    for i = 1, #all do
      local v = mpack(all[i][2])
      natives[all[i][1]], own[all[i][1]] = v, v
    end
    S.native, S.last = own, E.stream_info(S.k)['last-generated-id']
    if not keep then return end
    for _, group in pairs_(E.groups_of(S.k)) do
      local field = 'xg' .. group.name
      local cell = S.cells[field] or {w = {}}
      S.cells[field] = cell
      cell.g = cell.g or {{'', 0, 0, group['last-delivered-id']}}
    end
  end

  -- show_stream brings the user's key in line with the cells. What is there already stays: consumers, pending entries and
  -- the last id are this region's alone.
  function E.show_stream(S)
    local k, natives, list, gone = S.k, S.native, {}, {}
    local live = {}
    for field, cell in pairs_(S.cells) do
      local element = sub(field, 2)
      if sub(field, 1, 1) == 'x' and E.live(cell) then
        local top = E.winner(cell)
        if element ~= '' then
          live[element] = true
          if not natives or natives[element] ~= top[4] then list[#list + 1] = {element, top[4]} end
        end
        top[4] = false
      end
    end
    if natives then
      for id in pairs_(natives) do
        if not live[id] then gone[#gone + 1] = id end
      end
      E.in_parts(call, 'XDEL', k, gone)
    elseif #list == 0 then
      E.make_stream(k)
    end
    E.sort_entries(list)
    local late = E.insert_entries(k, list)
    -- A flush has taken the key away, of which something is left: ids that were given are not given again.
    if not natives and S.last and E.id_before(E.stream_info(k)['last-generated-id'], S.last) then call('XSETID', k, S.last) end
    E.show_groups(S)
    E.remember_late(S, late)
  end

  -- stream_entries emits and records all entries of a stream, which has no live cells but groups, and its last id.
  function E.stream_entries(S)
    local k, from, top = S.k, '-', '0-0'
    repeat
      local all, list = call('XRANGE', k, from, '+', 'COUNT', 1000), {'', ''}
      for i = 1, #all do
        top = all[i][1]
        list[#list + 1] = top
        list[#list + 1] = mpack(all[i][2])
      end
      E.written(S, 'x', list, 2)
      from = '(' .. top
    until #all < 1000
    local last = E.stream_info(k)['last-generated-id']
    if last ~= top then E.emit('g', k, 's', '', last) end
  end

  -- stream_content is for a stream that replaced a key, as after RENAME. Groups stay behind: which entries they have delivered is
  -- not known elsewhere, so a group that moved would be another one in each region.
  function E.stream_content(S)
    E.destroy_natively(S.k, E.groups_of(S.k))
    E.stream_entries(S)
  end
end
