-- What hashes, sets and sorted sets share: cells in a companion hash, written and removed by commands of this region.

do
  -- open_cell opens a key and one cell of it in one read. The cell is empty when there is none.
  function E.open_cell(k, field)
    local ck = E.companion(k)
    local raws = try('HMGET', ck, '', field)
    if type_(raws[1]) == 'string' then
      local S = {k = k, ck = ck, form = 'h', raw = raws[1]}
      if raws[1] == EMPTY_RECORD then
        S.rec = {w = {}}
      else
        S.rec = E.record(k, raws[1])
        if S.rec.T and E.expire_first(S) then
          -- What is left of the cell is what the removal left.
          raws[2] = S.form == 'h' and call('HGET', ck, field)
        end
      end
      return S, raws[2] and E.decode(raws[2]) or {w = {}}
    end
    return E.open_elements(k), {w = {}}
  end

  -- put stores cells (flat: field, bytes) after a write of origin o at time at, together with that stamp and the record.
  function E.put(S, list, n, o, at)
    local rec = S.rec
    rec.x, rec.z = nil, nil
    if S.form == 's' then E.hash_form(S) end
    local enc = E.encode(rec)
    list[n + 1], list[n + 2] = 'n' .. o, format('%.0f', at)
    n = n + 2
    if enc ~= S.raw then
      list[n + 1], list[n + 2] = '', enc
      n = n + 2
      S.raw = enc
    end
    if not S.form then
      E.count_companion(1)
      S.form = 'h'
    end
    if n <= 4000 then call('HSET', S.ck, unpack_(list, 1, n)) else E.in_parts(call, 'HSET', S.ck, list) end
    if S.adopted then E.note_ttl(S) end
  end

  -- raw_cells reads the stored cells of the given fields: place in fields → bytes, or false.
  function E.raw_cells(S, fields)
    local raws = {}
    if S.form ~= 'h' then return raws end
    for i = 1, #fields, 4000 do
      local last = i + 3999 < #fields and i + 3999 or #fields
      local part = call('HMGET', S.ck, unpack_(fields, i, last))
      for j = i, last do raws[j] = part[j - i + 1] end
    end
    return raws
  end

  -- counters loads the cells of the given fields that have shares: field → cell.
  local function counters(S, fields)
    local found = {}
    if not S.rec.c then return found end
    local raws = E.raw_cells(S, fields)
    for i = 1, #fields do
      local raw = raws[i]
      if raw and byte(raw, 1) == 2 then
        local cell = E.decode(raw)
        if cell.s then found[fields[i]] = cell end
      end
    end
    return found
  end

  -- written records that a local command wrote elements: list is the effect's list, step its stride (1 member, 2
  -- element and value).
  function E.written(S, letter, list, step)
    if S.rec.y then E.drop_hidden(S, letter) end
    if S.void then E.fresh(S) end
    local fields, n = {}, 0
    for i = 1, #list, step do
      n = n + 1
      fields[n] = letter .. list[i]
    end
    local found = S.rec.c and counters(S, fields)
    if found and next_(found) then
      local offsets = {}
      for field, cell in pairs_(found) do
        E.offsets(cell, field, offsets)
        E.reset(cell)
      end
      E.emit('A', letter, S.k, n, list, offsets)
    else
      found = nil
      E.emit('a', letter, S.k, n, list)
    end
    local plain = stamp_prefix .. (packed_op[op] or mpack(op))
    local cells, m = {}, 0
    for i = 1, n do
      local field = fields[i]
      local cell = found and found[field]
      cells[m + 1] = field
      if cell then
        cell.w = {{origin, t, op, false, true}}
        cells[m + 2] = E.encode(cell)
      else
        cells[m + 2] = plain
      end
      m = m + 2
    end
    E.put(S, cells, m, origin, t)
  end

  -- removed records that a local command removed elements, count of which were there.
  function E.removed(S, letter, members, count)
    if S.rec.y then E.drop_hidden(S, letter) end
    local fields = {}
    for i = 1, #members do fields[i] = letter .. members[i] end
    local found = counters(S, fields)
    local offsets, with_cell = {}, 0
    for field, cell in pairs_(found) do
      if not E.live(cell) then with_cell = with_cell - 1 end
      E.offsets(cell, field, offsets)
      E.reset(cell)
    end
    E.emit('r', letter, S.k, members, offsets)
    if S.form == 'h' then
      local _, dropped = E.in_parts(call, 'HDEL', S.ck, fields)
      with_cell = with_cell + dropped
      for field, cell in pairs_(found) do call('HSET', S.ck, field, E.encode(cell)) end
    end
    if S.rec.b and (with_cell < count or call('EXISTS', S.k) == 0) then S.rec.b = nil end
    if S.form or S.adopted then E.save(S) end
  end

  -- based gives a cell that is about to get its first share the value it shows now.
  function E.based(cell, old)
    if not old then return end
    if #cell.w == 0 then
      cell.w[1] = {'', 0, 0, old, true}
    else
      E.winner(cell)[4] = old
    end
  end

  -- content emits and records the whole content of a user's key, as after COPY or SUNIONSTORE. The key has no live
  -- cells when it is called.
  function E.content(S)
    local nt = E.native_type(S.k)
    if not nt then return end
    if nt == 'k' then
      local v = call('GET', S.k)
      if E.are_registers(S.k, v) then
        E.joined(S, E.registers_of(S), v)
      else
        E.overwritten(S, v, nil)
      end
    elseif nt == 'l' then
      local size = call('LLEN', S.k)
      for i = 0, size - 1, 2000 do E.pushed(S, END, call('LRANGE', S.k, i, i + 1999), i) end
    elseif nt == 'x' then
      E.stream_content(S)
    elseif nt == 'o' then
      E.emit('O', S.k, call('DUMP', S.k))
      E.put(S, {'o', stamp_prefix .. (packed_op[op] or mpack(op))}, 2, origin, t)
    else
      local all, step = nil, 2
      if nt == 's' then
        all, step = call('SMEMBERS', S.k), 1
      elseif nt == 'h' then
        all = call('HGETALL', S.k)
      else
        all = call('ZRANGE', S.k, 0, -1, 'WITHSCORES')
      end
      for i = 1, #all, 2000 do
        local part, n = {}, 0
        for j = i, i + 1999 < #all and i + 1999 or #all do
          n = n + 1
          part[n] = all[j]
        end
        E.written(S, nt, part, step)
      end
    end
    local at = E.expiry(S.k)
    if at > 0 then E.ttl_changed(S, at) end
  end

  -- replaced records that a command overwrote the whole key. existed says whether it was there before, stream whether it was one.
  function E.replaced(k, existed, stream)
    local S = E.open(k)
    S.stream = stream
    if existed or S.form then E.remove_local(S) end
    E.content(S)
  end

  -- ttl_changed records EXPIRE (at > 0) and PERSIST (0).
  function E.ttl_changed(S, at)
    E.emit('E', S.k, at)
    E.set_ttl(S.rec, origin, t, op, at)
    E.save(S)
    E.note_ttl(S)
  end
end
