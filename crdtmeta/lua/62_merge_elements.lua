-- Remote effects on elements of hashes, sets and sorted sets.

do
  local F, M = E.effects, E.merge
  local WRITE = {s = 'SADD', h = 'HSET', z = 'ZADD'}
  local REMOVE = {s = 'SREM', h = 'HDEL', z = 'ZREM', x = 'XDEL'}
  local READ = {h = 'HGET', z = 'ZSCORE'}

  -- simple says that elements can be merged one by one: no other type is in play, and a key with a TTL
  -- has neither expired nor been evicted.
  function M.simple(S)
    local rec = S.rec
    if rec.y or rec.p or #rec.w > 0 or (rec.s and E.shares_live(rec)) then return false end
    if rec.T then
      local at = E.deadline(rec)
      if at and at > 0 and (at <= now or call('EXISTS', S.k) == 0) then return false end
    end
    return true
  end

  -- plainly says that an effect can replace or remove a cell without a look at what is in it.
  function M.plainly(raw)
    if not raw then return true end
    if byte(raw, 1) ~= 1 then return false end
    local _, o, at, n = munpack(raw)
    return E.seen(o, at, n)
  end

  -- lift_cell gives a cell's shown write the value that only the user's key has.
  local function lift_cell(S, letter, element, cell)
    if letter == 's' then return true end
    local top = E.winner(cell)
    if top and top[4] == false then
      local v = try(READ[letter], S.k, element)
      if type_(v) ~= 'string' then return false end
      top[4] = v
    end
    return true
  end

  -- shown gives what the user's key shall show of a live cell, and frees the shown write of its copy.
  local function shown(k, letter, element, cell)
    if letter == 's' then return true end
    local v = M.sum(k, letter, element, cell)
    if not cell.s then
      local top = E.winner(cell)
      if letter == 'z' then v = top[4] end
      top[4] = false
    end
    return v
  end

  local function merge_elements(letter, k, list, given)
    local r, S = remote, E.open_collection(k)
    local step = letter == 's' and 1 or 2
    M.touch(k)
    if S.rec.x then M.over_removal(S, letter) end
    local fields = {}
    for i = 1, #list, step do fields[#fields + 1] = letter .. list[i] end
    local function long_way()
      S.cells = nil
      M.full(S, true, function()
        M.forget_others(S, letter)
        for i = 1, #fields do
          local cell = S.cells[fields[i]] or {w = {}}
          S.cells[fields[i]] = cell
          E.reset(cell, given and given[fields[i]])
          cell.x = nil
          cell.w[#cell.w + 1] = {r.o, r.t, r.op, step == 2 and list[2 * i] or '', true}
          M.summed(k, letter, sub(fields[i], 2), cell)
        end
      end)
    end
    if not M.simple(S) then return long_way() end
    local raws = E.raw_cells(S, fields)
    local plain = r.prefix .. (packed_op[r.op] or mpack(r.op))
    local natives, cells, m = {}, {}, 0
    for i = 1, #fields do
      local element, v = list[i], nil
      if step == 2 then element, v = list[2 * i - 1], list[2 * i] end
      local raw = raws[i]
      cells[m + 1] = fields[i]
      if M.plainly(raw) then
        cells[m + 2] = plain
      else
        local cell = E.decode(raw)
        if not lift_cell(S, letter, element, cell) then return long_way() end
        E.reset(cell, given and given[fields[i]])
        cell.x = nil
        cell.w[#cell.w + 1] = {r.o, r.t, r.op, v or false, true}
        if #cell.w > 1 and letter ~= 's' then M.conflict(k, letter, element, cell) end
        v = shown(k, letter, element, cell)
        cells[m + 2] = E.encode(cell)
      end
      m = m + 2
      local n = #natives
      if letter == 's' then natives[n + 1] = element
      elseif letter == 'h' then natives[n + 1], natives[n + 2] = element, v
      else natives[n + 1], natives[n + 2] = v, element end
    end
    if E.in_parts(try, WRITE[letter], k, natives) then return long_way() end
    E.put(S, cells, m, r.o, r.t)
    if S.rec.T then E.native_ttl(S) end
  end

  function F.a(list, p)
    if list[p + 1] == 'x' then M.stream_entries(list[p + 2], list[p + 4]) else merge_elements(list[p + 1], list[p + 2], list[p + 4]) end
    return p + 5
  end

  function F.A(list, p)
    merge_elements(list[p + 1], list[p + 2], list[p + 4], E.by_field(list[p + 5]))
    return p + 6
  end

  function F.r(list, p)
    local letter, k, elements, given = list[p + 1], list[p + 2], list[p + 3], E.by_field(list[p + 4])
    local S = E.open_collection(k)
    M.touch(k)
    local fields = {}
    for i = 1, #elements do fields[i] = letter .. elements[i] end
    local function long_way()
      S.cells = nil
      M.full(S, true, function()
        M.forget_others(S, letter)
        for i = 1, #fields do
          local cell = S.cells[fields[i]]
          if cell then E.reset(cell, given[fields[i]]) end
        end
      end)
    end
    if not M.simple(S) then
      long_way()
      return p + 5
    end
    local raws = E.raw_cells(S, fields)
    local gone, bare, dropped, kept, writes = {}, {}, {}, {}, {}
    for i = 1, #fields do
      local raw = raws[i]
      if M.plainly(raw) then
        if raw then
          gone[#gone + 1] = elements[i]
          dropped[#dropped + 1] = fields[i]
        else
          bare[#bare + 1] = elements[i]
        end
      else
        local cell = E.decode(raw)
        if letter == 'x' or not lift_cell(S, letter, elements[i], cell) then
          long_way()
          return p + 5
        end
        E.reset(cell, given[fields[i]])
        if E.live(cell) then
          M.survived(k, letter, elements[i], E.newest(cell), {remote.o, remote.t, remote.op})
          local v = shown(k, letter, elements[i], cell)
          if letter == 'h' then
            writes[#writes + 1] = elements[i]
            writes[#writes + 1] = v
          elseif letter == 'z' then
            writes[#writes + 1] = v
            writes[#writes + 1] = elements[i]
          end
        else
          gone[#gone + 1] = elements[i]
        end
        if E.live(cell) or cell.s then
          kept[#kept + 1] = fields[i]
          kept[#kept + 1] = E.encode(cell)
        else
          dropped[#dropped + 1] = fields[i]
        end
      end
    end
    local refused, had = E.in_parts(try, REMOVE[letter], k, bare)
    refused = refused or E.in_parts(try, REMOVE[letter], k, gone)
    if refused then
      -- The key shows another type here, of which the effect's origin may have seen something.
      long_way()
      return p + 5
    end
    E.in_parts(try, WRITE[letter], k, writes)
    if S.form == 'h' then
      E.in_parts(try, 'HDEL', S.ck, dropped)
      E.in_parts(try, 'HSET', S.ck, kept)
    end
    if S.rec.b and (had > 0 or call('EXISTS', k) == 0) then S.rec.b = nil end
    if S.form or S.adopted then E.save(S) end
    return p + 5
  end

  local function count_element(letter, k, element, t0, op0, sum, float)
    local S, field = E.open_collection(k), letter .. element
    local function long_way()
      S.cells = nil
      M.full(S, true, function()
        M.forget_others(S, letter)
        local cell = S.cells[field] or {w = {}}
        S.cells[field] = cell
        cell.x = nil
        E.take_share(cell, t0, op0, sum, float)
        M.summed(k, letter, element, cell)
      end)
    end
    if not M.simple(S) then return long_way() end
    local cell = E.stored_cell(S, field) or {w = {}}
    local native = try(READ[letter], k, element)
    if type_(native) == 'table' then return long_way() end
    local top = E.winner(cell)
    if top then
      if top[4] == false then
        if not native then return long_way() end
        top[4] = native
      end
    elseif native and not E.shares_live(cell) then
      cell.w[1] = {'', 0, 0, native, true}
    end
    E.take_share(cell, t0, op0, sum, float)
    cell.x = nil
    local v = shown(k, letter, element, cell)
    if v ~= native then
      if letter == 'h' then call('HSET', k, element, v) else call('ZADD', k, v, element) end
    end
    S.rec.c = true
    E.put(S, {field, E.encode(cell)}, 2, remote.o, remote.t)
    if S.rec.T then E.native_ttl(S) end
  end

  function F.i(list, p)
    local letter, k = list[p + 1], list[p + 2]
    M.touch(k)
    if letter == 'k' then
      M.count_string(k, list[p + 4], list[p + 5], list[p + 6], list[p + 7])
    else
      count_element(letter, k, list[p + 3], list[p + 4], list[p + 5], list[p + 6], list[p + 7])
    end
    return p + 8
  end
end
