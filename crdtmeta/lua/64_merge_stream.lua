-- Remote effects on streams: entries wherever their ids belong, and consumer groups.

do
  local F, M = E.effects, E.merge

  -- Entries that go below the last one wait until the call has all of them: Redis can only put them there by taking out what
  -- is above. Database → key → list; nil while there are none.
  M.late = nil

  local function put_late(d, k, list)
    E.select(d)
    local S = E.open_collection(k)
    E.sort_entries(list)
    E.remember_late(S, E.insert_entries(k, list))
  end

  -- settle_entries puts the waiting entries of one key, or of all, into their streams.
  function M.settle_entries(d, k)
    local late, here = M.late, db
    if not late then return end
    if k then
      local list = late[d] and late[d][k]
      if list then
        late[d][k] = nil
        put_late(d, k, list)
      end
    else
      for other, keys in pairs_(late) do
        for name, list in pairs_(keys) do put_late(other, name, list) end
      end
      M.late = nil
    end
    E.select(here)
  end

  local function wait(k, id, v)
    local late = M.late or {}
    M.late = late
    late[db] = late[db] or {}
    local list = late[db][k] or {}
    late[db][k] = list
    list[#list + 1] = {id, v}
  end

  -- exists_too merges a write of the cell that says that the stream exists. Regions that add to a stream at the same time
  -- write it concurrently, which is no conflict.
  local function exists_too(raw, plain)
    if M.plainly(raw) then return plain end
    local cell = E.decode(raw)
    E.reset(cell)
    cell.x = nil
    cell.w[#cell.w + 1] = {remote.o, remote.t, remote.op, '', true}
    local one = #cell.w == 1
    for i = 1, #cell.w do cell.w[i][4] = not one and '' end
    return E.encode(cell)
  end

  function M.stream_entries(k, list)
    local r, S = remote, E.open_collection(k)
    M.touch(k)
    if S.rec.x then M.over_removal(S, 'x') end
    local fields = {}
    for i = 1, #list, 2 do fields[#fields + 1] = 'x' .. list[i] end
    local function long_way()
      M.settle_entries(db, k)
      S.cells = nil
      M.full(S, true, function()
        M.forget_others(S, 'x')
        for i = 1, #fields do
          local cell = S.cells[fields[i]] or {w = {}}
          S.cells[fields[i]] = cell
          E.reset(cell)
          cell.x = nil
          cell.w[#cell.w + 1] = {r.o, r.t, r.op, list[2 * i], true}
          if #cell.w > 1 and fields[i] ~= 'x' then M.conflict(k, 'x', list[2 * i - 1], cell) end
        end
      end)
    end
    if not M.simple(S) or (S.rec.q and call('EXISTS', k) == 0) then return long_way() end
    local raws = E.raw_cells(S, fields)
    local plain = r.prefix .. (packed_op[r.op] or mpack(r.op))
    local cells, m = {}, 0
    for i = 1, #fields do
      cells[m + 1], cells[m + 2] = fields[i], plain
      if fields[i] == 'x' then
        cells[m + 2] = exists_too(raws[i], plain)
      elseif raws[i] then
        return long_way()
      end
      m = m + 2
    end
    local kind = #list == 2 and E.native_type(k)
    if kind == nil then
      E.make_stream(k)
    elseif kind and kind ~= 'x' then
      return long_way()
    end
    for i = 1, #list, 2 do
      if list[i] ~= '' then
        local reply = try('XADD', k, list[i], unpack_(munpack(list[i + 1])))
        if type_(reply) == 'table' then
          if not find(reply.err, 'equal or smaller', 1, true) then return long_way() end
          wait(k, list[i], list[i + 1])
        end
      end
    end
    E.put(S, cells, m, r.o, r.t)
    if S.rec.T then E.native_ttl(S) end
  end

  -- everything_seen says, from the newest stamps alone, that the effect at work has seen all that is here of the key, as most have.
  local function everything_seen(S)
    if S.seen == nil then S.seen = S.form ~= 'h' or M.elements_seen(S) end
    return S.seen
  end

  -- unseen lists those of some ids whose entries the effect at work has not seen.
  local function unseen(S, ids)
    local fields, list = {}, {}
    if everything_seen(S) then return list end
    for i = 1, #ids do fields[i] = 'x' .. ids[i] end
    local raws = E.raw_cells(S, fields)
    for i = 1, #ids do
      if raws[i] and not M.all_seen(E.decode(raws[i])) then list[#list + 1] = ids[i] end
    end
    return list
  end

  -- pass lists what a group that goes from one id to another would skip although the effect's region has not had it: that stays to
  -- be delivered.
  local function pass(S, from, to)
    local all, at = {}, '(' .. from
    if everything_seen(S) then return all end
    repeat
      local page, ids = call('XRANGE', S.k, at, to, 'COUNT', 1000), {}
      for i = 1, #page do ids[i] = page[i][1] end
      for _, id in pairs_(unseen(S, ids)) do all[#all + 1] = id end
      if #page > 0 then at = '(' .. page[#page][1] end
    until #page < 1000
    return all
  end

  -- refused says that a destruction that a creation has not seen is known here.
  local function refused(S, name, cell, n, id)
    local d, r = M.unseen(S.rec.d, E.seen) or M.unseen(cell.d, E.seen), remote
    if d then M.group_ended(S.k, name, d, r.o, r.t, n, 'created after ' .. id) end
    return d
  end

  local function created(S, name, id)
    local r, cell = remote, E.group_cell(S, name)
    if refused(S, name, cell, r.op, id) then return end
    cell.g = cell.g or {}
    cell.g[#cell.g + 1] = {r.o, r.t, r.op, id}
    if E.native_type(S.k) == 'x' and not try('XGROUP', 'CREATE', S.k, name, id).err then
      E.set_late(S, name, cell, pass(S, '0-0', id))
      cell.k = nil
    end
    E.keep_group(S, name, cell, r.o, r.t)
  end

  -- said_anew gathers what follows a removal of a stream, from p on, if that writes the stream anew: entries {field, value, op},
  -- groups {name, id, op}, the last id, and where the effects end.
  local function said_anew(list, p, k)
    local entries, groups, last, nth = {}, {}, nil, remote.op
    while true do
      nth = nth + 1
      if list[p] == 'a' and list[p + 1] == 'x' and list[p + 2] == k then
        local flat = list[p + 4]
        for i = 1, #flat, 2 do entries[#entries + 1] = {'x' .. flat[i], flat[i + 1], nth} end
      elseif list[p] == 'g' and list[p + 1] == k and list[p + 2] == 'c' then
        groups[#groups + 1] = {list[p + 3], list[p + 4], nth}
      elseif list[p] == 'g' and list[p + 1] == k and list[p + 2] == 's' then
        last = list[p + 4]
      else
        return entries, groups, last, p
      end
      p = p + 5
    end
  end

  -- renewed_stream takes a removal of a stream and what writes it anew in one step, so that groups which are said anew keep what
  -- they have delivered here, and entries that are there already are not late. It answers where the effects end, or nil where the
  -- removal is to be taken alone.
  function M.renewed_stream(S, list, p, given)
    local k, r = S.k, remote
    if list[p + 3] ~= 'a' or list[p + 4] ~= 'x' or list[p + 5] ~= k or E.native_type(k) ~= 'x' then return nil end
    local entries, groups, last, behind = said_anew(list, p + 3, k)
    if S.rec.T then S.timed = true end
    local had, upto = {}, r.op + (behind - p - 3) / 5
    for _, group in pairs_(E.groups_of(k)) do had[group.name] = true end
    M.full(S, true, function()
      M.forget(S, given)
      E.set_ttl(S.rec, r.o, r.t, r.op, -1)
      S.rec.x = nil
      for _, e in pairs_(entries) do
        local field = e[1]
        local cell = S.cells[field] or {w = {}}
        S.cells[field] = cell
        r.op = e[3]
        E.reset(cell)
        cell.w[#cell.w + 1] = {r.o, r.t, r.op, e[2], true}
        if field ~= 'x' then M.conflict(k, 'x', sub(field, 2), cell) end
      end
      for _, g in pairs_(groups) do
        local cell = S.cells['xg' .. g[1]] or {w = {}}
        if not refused(S, g[1], cell, g[3], g[2]) then
          S.cells['xg' .. g[1]] = cell
          cell.g = cell.g or {}
          cell.g[#cell.g + 1] = {r.o, r.t, g[3], g[2]}
        end
      end
      r.op = upto
    end)
    if E.native_type(k) ~= 'x' then return behind end
    if last then M.last_id(k, last) end
    S = E.open_collection(k)
    for _, g in pairs_(groups) do
      if not had[g[1]] and E.group_of(k, g[1]) then
        local cell = E.group_cell(S, g[1])
        E.set_late(S, g[1], cell, pass(S, '0-0', g[2]))
        E.keep_group(S, g[1], cell)
      end
    end
    return behind
  end

  -- in_use reports a group that is destroyed here by somebody who has not seen it created, or cannot know that its consumers have
  -- something in hand: what was delivered is known in one region only. group is as XINFO has it, or nil.
  local function in_use(k, name, cell, group)
    local c, r = nil, remote
    for _, g in pairs_(cell.g or {}) do
      if not E.seen(g[1], g[2], g[3]) then c = g end
    end
    local pending = group and group.pending or 0
    if pending > 0 then
      M.group_ended(k, name, {r.o, r.t, r.op}, c and c[1] or origin, c and c[2] or t, c and c[3] or 0, pending .. ' pending')
    elseif c then
      M.group_ended(k, name, {r.o, r.t, r.op}, c[1], c[2], c[3], 'created after ' .. c[4])
    end
  end

  local function destroyed(S, name)
    local r, cell = remote, E.group_cell(S, name)
    local group = E.native_type(S.k) == 'x' and E.group_of(S.k, name)
    in_use(S.k, name, cell, group)
    E.destroy(S, name, cell, r.o, r.t, r.op)
    if group then call('XGROUP', 'DESTROY', S.k, name) end
    E.keep_group(S, name, cell, r.o, r.t)
  end

  -- all_destroyed comes with a removal of the key, most times, which has taken the groups along: remote.groups is what there were.
  local function all_destroyed(S)
    local r, k = remote, S.k
    local groups = E.native_type(k) == 'x' and E.groups_of(k) or {}
    E.destroy_natively(k, groups)
    local named, cells = {}, S.rec.q and E.load_cells(S) or {}
    for field in pairs_(cells) do
      if sub(field, 1, 2) == 'xg' then named[sub(field, 3)] = {} end
    end
    for _, list in pairs_({r.groups or {}, groups}) do
      for _, group in pairs_(list) do named[group.name] = group end
    end
    r.groups = nil
    for name, group in pairs_(named) do in_use(k, name, cells['xg' .. name] or {}, group) end
    E.destroy_all(S, r.o, r.t, r.op)
    if S.cells then
      E.write_companion(S)
      S.cells = nil
    else
      E.save(S)
    end
  end

  -- acknowledged moves this region's group past what another has acknowledged.
  local function acknowledged(S, name, upto)
    local k, cell, changed = S.k, E.group_cell(S, name), false
    local group = E.native_type(k) == 'x' and E.group_of(k, name)
    if not group then
      local d, r = M.unseen(S.rec.d, E.seen) or M.unseen(cell.d, E.seen), remote
      if d then M.group_ended(k, name, d, r.o, r.t, r.op, 'acknowledged up to ' .. upto) end
      return
    end
    local at = '-'
    repeat
      local page, ids, new = call('XPENDING', k, name, at, upto, 1000), {}, {}
      for i = 1, #page do ids[i] = page[i][1] end
      for _, id in pairs_(unseen(S, ids)) do new[id] = true end
      for i = 1, #ids do
        if not new[ids[i]] then call('XACK', k, name, ids[i]) end
      end
      if #page > 0 then at = '(' .. ids[#ids] end
    until #page < 1000
    if cell.l then
      local all, new, rest = E.late_ids(S, name, cell), {}, {}
      for _, id in pairs_(unseen(S, all)) do new[id] = true end
      for i = 1, #all do
        if new[all[i]] or E.id_before(upto, all[i]) then rest[#rest + 1] = all[i] end
      end
      changed = #rest < #all
      E.read_more(k, name, #all - #rest)
      E.set_late(S, name, cell, rest)
    end
    local last = group['last-delivered-id']
    if E.id_before(last, upto) then
      local kept = pass(S, last, upto)
      call('XGROUP', 'SETID', k, name, upto)
      E.add_late(S, name, cell, kept)
      changed = changed or #kept > 0
    end
    if changed then E.keep_group(S, name, cell) end
  end

  -- last_id raises the last id of a stream.
  function M.last_id(k, id)
    local info = E.stream_info(k)
    if info and E.id_before(info['last-generated-id'], id) then call('XSETID', k, id) end
  end

  local function last_id(S, name, id) M.last_id(S.k, id) end

  local WHAT = {c = created, d = destroyed, D = all_destroyed, k = acknowledged, s = last_id}

  function F.g(list, p)
    local k, what, name, value = list[p + 1], list[p + 2], list[p + 3], list[p + 4]
    local S = E.open_collection(k)
    M.touch(k)
    if S.rec.y and what ~= 'D' then
      M.full(S, true, function() M.forget_others(S, 'x') end)
      S = E.open_collection(k)
    end
    WHAT[what](S, name, value)
    return p + 5
  end
end
