-- Consumer groups. That a group exists is the same in all regions; consumers, pending entries and how far a group has read
-- are each region's own.
--
-- The cell of a group has no writes. It has g, its live creations {origin, t, op, first id}; d, the newest destruction of each
-- origin; and of this region alone l, the ids that arrived below what the group had delivered, in order, m, that there are more
-- of them than l has, and k, the id up to which this region has told that all is acknowledged. The record's d destroys all
-- groups. Destroying wins: a creation lives only if it has seen every destruction.

do
  local H, native = E.handlers, E.native

  function E.group_cell(S, name, kind)
    local field = (kind or 'xg') .. name
    if S.cells then
      S.cells[field] = S.cells[field] or {w = {}}
      return S.cells[field]
    end
    return E.stored_cell(S, field) or {w = {}}
  end

  -- keep_group stores a group's cell; o and at are given for what has a stamp.
  function E.keep_group(S, name, cell, o, at)
    S.rec.q = true
    if S.cells then return end
    if o then
      E.put(S, {'xg' .. name, E.encode(cell)}, 2, o, at)
    else
      E.hash_form(S)
      call('HSET', S.ck, 'xg' .. name, E.encode(cell))
      E.save(S)
    end
  end

  -- Thousands of ids can be late after a long partition: a cell has the first of them, the cell xl<name> the rest.
  local HEAD = 250

  -- late_ids lists all ids that a group has still to deliver although it is past them.
  function E.late_ids(S, name, cell)
    if not cell.m then return cell.l or {} end
    local list = E.slice(cell.l or {}, 1, cell.l and #cell.l or 0)
    local rest = E.group_cell(S, name, 'xl').l
    for i = 1, #rest do list[#list + 1] = rest[i] end
    return list
  end

  -- set_late replaces them; the caller stores the group's cell.
  function E.set_late(S, name, cell, list)
    local n = #list
    local more, field = n > 2 * HEAD, 'xl' .. name
    if more then
      local rest = {w = {}, l = E.slice(list, HEAD + 1, n)}
      if S.cells then
        S.cells[field] = rest
      else
        E.hash_form(S)
        call('HSET', S.ck, field, E.encode(rest))
      end
      list = E.slice(list, 1, HEAD)
    elseif cell.m then
      if S.cells then S.cells[field] = nil else call('HDEL', S.ck, field) end
    end
    cell.l, cell.m = n > 0 and list or nil, more or nil
  end

  -- add_late adds ids to them.
  function E.add_late(S, name, cell, ids)
    if #ids == 0 then return end
    local list, has = {}, {}
    for _, some in pairs_({E.late_ids(S, name, cell), ids}) do
      for i = 1, #some do
        if not has[some[i]] then
          has[some[i]] = true
          list[#list + 1] = {some[i]}
        end
      end
    end
    E.sort_entries(list)
    for i = 1, #list do list[i] = list[i][1] end
    E.set_late(S, name, cell, list)
  end

  -- forget_creations is the part of a reset that concerns groups.
  function E.forget_creations(cell)
    local kept = {}
    for i = 1, #cell.g do
      local c = cell.g[i]
      if not E.seen(c[1], c[2], c[3]) then kept[#kept + 1] = c end
    end
    cell.g = #kept > 0 and kept or nil
  end

  local function forget(S, name, cell)
    E.set_late(S, name, cell, {})
    cell.g, cell.k = nil, nil
  end

  function E.destroy(S, name, cell, o, at, n)
    forget(S, name, cell)
    cell.d = cell.d or {}
    cell.d[o] = {at, n}
  end

  function E.destroy_natively(k, groups)
    for _, group in pairs_(groups) do call('XGROUP', 'DESTROY', k, group.name) end
  end

  -- destroy_all is for the whole key; the caller stores the record, and the cells if there are any.
  function E.destroy_all(S, o, at, n)
    S.rec.d = S.rec.d or {}
    S.rec.d[o] = {at, n}
    if S.rec.q then
      for field, cell in pairs_(E.load_cells(S)) do
        if sub(field, 1, 2) == 'xg' then forget(S, sub(field, 3), cell) end
      end
    end
  end

  -- drop_groups destroys, before a local command creates the stream anew, groups that outlived an earlier one.
  function E.drop_groups(S)
    local some = false
    for _, cell in pairs_(E.load_cells(S)) do some = some or cell.g end
    if not some then
      S.cells = nil
      return
    end
    E.emit('g', S.k, 'D', '', '')
    E.destroy_all(S, origin, t, op)
    E.write_companion(S)
    S.cells = nil
  end

  -- show_groups creates and destroys groups in the user's key, as the loaded cells say.
  function E.show_groups(S)
    local is, k = {}, S.k
    for _, group in pairs_(E.groups_of(k)) do
      local cell = S.cells['xg' .. group.name]
      if cell and cell.g then is[group.name] = true else call('XGROUP', 'DESTROY', k, group.name) end
    end
    for field, cell in pairs_(S.cells) do
      local name = sub(field, 1, 2) == 'xg' and sub(field, 3)
      if name and not is[name] then
        E.set_late(S, name, cell, {})
        cell.k = nil
        if cell.g then call('XGROUP', 'CREATE', k, name, cell.g[1][4]) end
      end
    end
  end

  -- read_more counts entries that arrived late among those that a group has read, so that its lag comes down to nothing.
  function E.read_more(k, name, count)
    local group = count > 0 and E.group_of(k, name)
    local read = group and group['entries-read']
    if read then call('XGROUP', 'SETID', k, name, group['last-delivered-id'], 'ENTRIESREAD', format('%.0f', read + count)) end
  end

  -- remember_late notes entries that went below the last one, in each group that is past them.
  function E.remember_late(S, ids)
    if #ids == 0 then return end
    for _, group in pairs_(E.groups_of(S.k)) do
      local passed = {}
      for i = 1, #ids do
        if not E.id_before(group['last-delivered-id'], ids[i]) then passed[#passed + 1] = ids[i] end
      end
      if #passed > 0 then
        local cell = E.group_cell(S, group.name)
        E.add_late(S, group.name, cell, passed)
        E.keep_group(S, group.name, cell)
      end
    end
  end

  local function create(argv, i, n)
    local k, name, id = argv[i + 2], argv[i + 3], argv[i + 4]
    local S = E.open_elements(k)
    local existed = call('EXISTS', k) == 1
    local reply = native(argv, i, n)
    if type_(reply) ~= 'table' or reply.err then return reply end
    if not existed then
      if S.rec.q then E.drop_groups(S) end
      E.written(S, 'x', {'', ''}, 2)
    elseif S.rec.y then
      E.drop_hidden(S, 'x')
    end
    if not find(id, '^[1-9]%d*%-[1-9]%d*$') then id = E.group_of(k, name)['last-delivered-id'] end
    E.emit('g', k, 'c', name, id)
    local cell = E.group_cell(S, name)
    forget(S, name, cell)
    cell.g = {{origin, t, op, id}}
    E.keep_group(S, name, cell, origin, t)
    return reply
  end

  local function destroy(argv, i, n)
    local S = E.open_elements(argv[i + 2])
    local reply = native(argv, i, n)
    if reply ~= 1 then return reply end
    local name = argv[i + 3]
    if S.rec.y then E.drop_hidden(S, 'x') end
    E.emit('g', S.k, 'd', name, '')
    local cell = E.group_cell(S, name)
    E.destroy(S, name, cell, origin, t, op)
    E.keep_group(S, name, cell, origin, t)
    return reply
  end

  -- set_id moves the group of this region only. What is behind the new place counts as delivered, what is before it Redis
  -- delivers: nothing is late any more.
  local function set_id(argv, i, n)
    local S = E.open_elements(argv[i + 2])
    local reply = native(argv, i, n)
    if type_(reply) == 'table' and reply.ok and S.rec.q then
      local cell = E.group_cell(S, argv[i + 3])
      if cell.l then
        E.set_late(S, argv[i + 3], cell, {})
        E.keep_group(S, argv[i + 3], cell)
      end
    end
    return reply
  end

  local SUB = {CREATE = create, DESTROY = destroy, SETID = set_id, CREATECONSUMER = native, DELCONSUMER = native}

  function H.XGROUP(argv, i, n)
    return (SUB[upper(argv[i + 1])] or native)(argv, i, n)
  end

  -- What a region's consumers have claimed concerns this region alone.
  H.XCLAIM, H.XAUTOCLAIM = native, native

  -- acknowledged is the id up to which everything that the group has delivered here is acknowledged.
  function E.acknowledged(k, name, cell)
    local pending = call('XPENDING', k, name)
    local low = pending[1] > 0 and pending[2]
    if cell.l and (not low or E.id_before(cell.l[1], low)) then low = cell.l[1] end
    if low then return E.id_previous(low) end
    return E.group_of(k, name)['last-delivered-id']
  end

  -- Another region skips what was acknowledged here: when nothing before it is still pending, or it would skip that too.
  function H.XACK(argv, i, n)
    local k, name = argv[i + 1], argv[i + 2]
    local S, cell = E.open_cell(k, 'xg' .. name)
    local reply = native(argv, i, n)
    if type_(reply) ~= 'number' or reply == 0 then return reply end
    local upto, says = E.acknowledged(k, name, cell), false
    if cell.k and not E.id_before(cell.k, upto) then return reply end
    for j = i + 3, i + n - 1 do
      local id = find(argv[j], '-', 1, true) and argv[j] or argv[j] .. '-0'
      if not E.id_split(id) or not E.id_before(upto, id) then says = true end
    end
    if says then
      E.emit('g', k, 'k', name, upto)
      cell.k = upto
      E.keep_group(S, name, cell)
    end
    return reply
  end

  -- deliver_late hands out up to most of the ids that arrived late, oldest first.
  local function deliver_late(S, o, cell, most)
    local k, ids, done = S.k, {}, 0
    while cell.l and #ids ~= most do
      local rest = {}
      for j = 1, #cell.l do
        local id = cell.l[j]
        if #ids == most then
          rest[#rest + 1] = id
        else
          done = done + 1
          -- One that was claimed by force or deleted meanwhile is done with.
          if #call('XPENDING', k, o.group, id, id, 1) == 0 and E.read_entry(k, id) then ids[#ids + 1] = id end
        end
      end
      if #rest > 0 or not cell.m then
        cell.l = #rest > 0 and rest or nil
      else
        E.set_late(S, o.group, cell, E.group_cell(S, o.group, 'xl').l)
      end
    end
    E.read_more(k, o.group, done)
    E.keep_group(S, o.group, cell)
    local out = {}
    if o.noack then
      for j = 1, #ids do out[j] = call('XRANGE', k, ids[j], ids[j])[1] end
      if #ids > 0 then call('XGROUP', 'CREATECONSUMER', k, o.group, o.consumer) end
      return out
    end
    for j = 1, #ids, 1000 do
      local words, m = {'XCLAIM', k, o.group, o.consumer, '0'}, 5
      for p = j, j + 999 < #ids and j + 999 or #ids do
        m = m + 1
        words[m] = ids[p]
      end
      words[m + 1], words[m + 2], words[m + 3] = 'FORCE', 'RETRYCOUNT', '1'
      for _, entry in pairs_(call(unpack_(words))) do out[#out + 1] = entry end
    end
    return out
  end

  -- group_options reads an XREADGROUP without BLOCK. It answers nil where Redis will refuse it.
  local function group_options(argv, i, n)
    local o, p, last = {}, i + 1, i + n - 1
    while p <= last do
      local word, more = upper(argv[p]), last - p
      if word == 'GROUP' and more >= 2 then
        o.group, o.consumer = argv[p + 1], argv[p + 2]
        p = p + 3
      elseif word == 'COUNT' and more >= 1 then
        o.count = E.integer(argv[p + 1])
        if not o.count then return nil end
        p = p + 2
      elseif word == 'NOACK' then
        o.noack = true
        p = p + 1
      elseif word == 'STREAMS' and o.group and more > 0 and more % 2 == 0 then
        o.keys, o.streams = p + 1, more / 2
        return o
      else
        return nil
      end
    end
  end

  -- XREADGROUP > hands out what arrived late before what is new. All else is Redis's own.
  function H.XREADGROUP(argv, i, n)
    local o = group_options(argv, i, n)
    if not o then return native(argv, i, n) end
    local states, cells, late = {}, {}, false
    for j = 0, o.streams - 1 do
      if argv[o.keys + o.streams + j] == '>' then
        states[j], cells[j] = E.open_cell(argv[o.keys + j], 'xg' .. o.group)
        late = late or cells[j].l
      end
    end
    if not late then return native(argv, i, n) end
    -- Redis looks at all keys before it delivers anything.
    local fine = true
    for j = 0, o.streams - 1 do
      local id = argv[o.keys + o.streams + j]
      if id ~= '>' and not find(id, '^%d+$') and not E.id_split(id) then fine = false end
      if try('XPENDING', argv[o.keys + j], o.group).err then fine = false end
    end
    if not fine then return native(argv, i, n) end
    local most, replies = o.count and o.count > 0 and o.count, {}
    for j = 0, o.streams - 1 do
      local k, id, list = argv[o.keys + j], argv[o.keys + o.streams + j], {}
      if cells[j] and cells[j].l then list = deliver_late(states[j], o, cells[j], most) end
      if not most or #list < most or id ~= '>' then
        local command = {'XREADGROUP', 'GROUP', o.group, o.consumer}
        if most then
          command[#command + 1] = 'COUNT'
          command[#command + 1] = most - #list
        end
        if o.noack then command[#command + 1] = 'NOACK' end
        local m = #command
        command[m + 1], command[m + 2], command[m + 3] = 'STREAMS', k, id
        local found = try(unpack_(command))
        if found and found.err then return found end
        if found then
          for p = 1, #found[1][2] do list[#list + 1] = found[1][2][p] end
          if id ~= '>' then replies[#replies + 1] = {k, list} end
        end
      end
      if id == '>' and #list > 0 then replies[#replies + 1] = {k, list} end
    end
    return #replies > 0 and replies or false
  end
end
