-- Remote effects. The rules are those of the cells (10_cell.lua); this file finds the cells that an effect is about and
-- keeps the user's key in step. Common cases touch only what the effect names; a clash of types, a hidden loser that
-- comes back and the like take the long way: lift every value, change the cells, show the result.

do
  local F = E.effects
  local WRITE = {s = 'SADD', h = 'HSET', z = 'ZADD'}
  local REMOVE = {s = 'SREM', h = 'HDEL', z = 'ZREM'}
  local READ = {h = 'HGET', z = 'ZSCORE'}

  local function touch(k)
    local name = db .. ':' .. k
    if not E.touched[name] then
      E.touched[name] = true
      E.touched_list[#E.touched_list + 1] = name
    end
  end

  local function cut(v)
    if type_(v) == 'string' and #v > 256 then return sub(v, 1, 256) end
    return v
  end

  -- conflict reports that two writes did not know of each other. No rule reads the report.
  local function conflict(k, letter, element, cell)
    E.stats.conflicts = E.stats.conflicts + 1
    local list = E.conflicts
    if #list >= 64 or #cell.w < 2 then return end
    local top, loser = E.winner(cell), nil
    for i = 1, #cell.w do
      local w = cell.w[i]
      if w ~= top and (not loser or E.after(w, loser)) then loser = w end
    end
    local function side(w) return {o = w[1], t = w[2], op = w[3], v = cut(w[4]) or ''} end
    list[#list + 1] = mpack({
      db = db, key = cut(k), element = cut(element), type = letter, rule = 'last writer wins',
      winner = side(top), loser = side(loser), at = now,
    })
  end

  local function all_seen(rec)
    for i = 1, #rec.w do
      local w = rec.w[i]
      if not E.seen(w[1], w[2], w[3]) then return false end
    end
    if rec.s then
      for o, s in pairs_(rec.s) do
        if not E.seen(o, s[3], s[4]) then return false end
      end
    end
    if rec.T then
      for i = 1, #rec.T do
        local c = rec.T[i]
        if not E.seen(c[1], c[2], c[3]) then return false end
      end
    end
    return true
  end

  -- finish_full shows what was lifted and changed. Values that expired here stay hidden until the owner of the TTL
  -- removes the key; values that are gone without a TTL that explains it are a removal by this region, to be said.
  local function finish_full(S)
    if not E.missing(S) then
      E.show(S)
      return
    end
    local at = E.deadline(S.rec)
    if not (at and at > 0 and at <= now) then E.lost[#E.lost + 1] = {db, S.k} end
    E.write_companion(S)
    S.cells = nil
    E.note_ttl(S)
  end

  -- full is the long way. keep is for effects that leave elements without a stamp alone.
  local function full(S, keep, change)
    E.lift(S, keep)
    change(S)
    finish_full(S)
  end

  -- forget resets every cell of the key; given has the offsets by field.
  local function forget(S, given)
    E.reset(S.rec, given and given[''])
    for field, cell in pairs_(S.cells) do E.reset(cell, given and given[field]) end
  end

  -- forget_others resets the cells of types other than letter, as any write does. What a string's write said of the
  -- TTL stays said.
  local function forget_others(S, letter)
    if letter ~= 'k' then
      E.keep_persist(S.rec)
      E.reset(S.rec)
    end
    for field, cell in pairs_(S.cells) do
      if sub(field, 1, 1) ~= letter then E.reset(cell) end
    end
  end

  local function merge_set(k, v)
    local r = remote
    local S = E.open(k)
    local rec = S.rec
    if rec.T then S.timed = true end
    if S.form ~= 'h' and not rec.y and all_seen(rec) then
      E.reset(rec)
      rec.w, rec.T = {{r.o, r.t, r.op, false, true}}, nil
      call('SET', k, v)
      E.save(S)
    else
      full(S, false, function()
        forget(S)
        E.set_ttl(rec, r.o, r.t, r.op, -1)
        rec.w[#rec.w + 1] = {r.o, r.t, r.op, v, true}
        if #rec.w > 1 then conflict(k, 'string', '', rec) end
      end)
    end
    E.note_ttl(S)
  end

  -- A run of string writes: one read for all companions, one write for all keys, when every write has seen what is here.
  local function set_run(list, p)
    local r, names, n = remote, {}, 0
    local q = p
    while list[q] == 'S' and n < 500 do
      n = n + 1
      names[n] = E.companion(list[q + 1])
      q = q + 3
    end
    if n == 1 then return false end
    local raws = call('MGET', unpack_(names))
    local absent, missing
    for j = 1, n do
      local raw = raws[j]
      if raw == false then
        absent = absent or {}
        absent[#absent + 1] = names[j]
      else
        if byte(raw, 1) ~= 1 then return false end
        local _, o, at, m = munpack(raw)
        if not E.seen(o, at, m) then return false end
      end
    end
    if absent then
      if call('EXISTS', unpack_(absent)) > 0 then return false end
      local met
      met, missing = {}, 0
      for j = 1, #absent do
        if not met[absent[j]] then
          met[absent[j]] = true
          missing = missing + 1
        end
      end
      E.count_companion(missing)
    end
    local args, m, first = {}, 0, r.op
    for j = 1, n do
      local k = list[p + 3 * j - 2]
      args[m + 1], args[m + 2], args[m + 3] = k, list[p + 3 * j - 1], names[j]
      local o = first + j - 1
      args[m + 4] = r.prefix .. (packed_op[o] or mpack(o))
      m = m + 4
      touch(k)
    end
    call('MSET', unpack_(args))
    r.op = first + n - 1
    return q
  end

  function F.S(list, p)
    local q = set_run(list, p)
    if q then return q end
    touch(list[p + 1])
    merge_set(list[p + 1], list[p + 2])
    return p + 3
  end

  function F.W(list, p)
    local k, v, given = list[p + 1], list[p + 2], E.by_field(list[p + 3])
    local r, S = remote, E.open(k)
    local rec = S.rec
    if not S.form then E.adopt_ttl(S) end
    touch(k)
    if S.form ~= 'h' and not rec.y and all_seen({w = rec.w, s = rec.s}) then
      E.keep_persist(rec)
      E.reset(rec, given[''])
      rec.w = {{r.o, r.t, r.op, false, false}}
      rec.x = nil
      if try('GET', k) ~= v then call('SET', k, v, 'KEEPTTL') end
      if rec.T then E.native_ttl(S) end
      E.save(S)
    else
      full(S, true, function()
        E.keep_persist(rec)
        E.reset(rec, given[''])
        forget_others(S, 'k')
        rec.w[#rec.w + 1] = {r.o, r.t, r.op, v, false}
        if #rec.w > 1 then conflict(k, 'string', '', rec) end
      end)
    end
    return p + 4
  end

  -- open_for opens a key for an effect on elements.
  local function open_for(k)
    local ck = E.companion(k)
    local raw = try('HGET', ck, '')
    if type_(raw) == 'string' then
      return {k = k, ck = ck, form = 'h', raw = raw, rec = raw == EMPTY_RECORD and {w = {}} or E.decode(raw)}
    end
    if raw == false then
      local S = {k = k, ck = ck, rec = {w = {}}}
      E.adopt_ttl(S)
      return S
    end
    return E.open(k)
  end

  -- simple says that elements can be merged one by one: no other type is in play, and a key with a TTL
  -- has neither expired nor been evicted.
  local function simple(S)
    local rec = S.rec
    if rec.y or #rec.w > 0 or (rec.s and E.shares_live(rec)) then return false end
    if rec.T then
      local at = E.deadline(rec)
      if at and at > 0 and (at <= now or call('EXISTS', S.k) == 0) then return false end
    end
    return true
  end

  local function raw_cells(S, fields)
    local raws = {}
    if S.form ~= 'h' then return raws end
    for i = 1, #fields, 4000 do
      local last = i + 3999 < #fields and i + 3999 or #fields
      local part = call('HMGET', S.ck, unpack_(fields, i, last))
      for j = i, last do raws[j] = part[j - i + 1] end
    end
    return raws
  end

  -- plainly says that an effect can replace or remove a cell without a look at what is in it.
  local function plainly(raw)
    if not raw then return true end
    if byte(raw, 1) ~= 1 then return false end
    local _, o, at, n = munpack(raw)
    return E.seen(o, at, n)
  end

  local function in_parts(command, key, list)
    for i = 1, #list, 4000 do
      local reply = try(command, key, unpack_(list, i, i + 3999 < #list and i + 3999 or #list))
      if type_(reply) == 'table' and reply.err then return reply end
    end
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
  local function shown(letter, cell)
    if letter == 's' then return true end
    local v
    if letter == 'z' then v = E.score(cell) else v = E.value(cell) end
    if not cell.s then
      local top = E.winner(cell)
      if letter == 'z' then v = top[4] end
      top[4] = false
    end
    return v
  end

  local function merge_elements(letter, k, list, given)
    local r, S = remote, open_for(k)
    local step = letter == 's' and 1 or 2
    touch(k)
    local fields = {}
    for i = 1, #list, step do fields[#fields + 1] = letter .. list[i] end
    local function long_way()
      S.cells = nil
      full(S, true, function()
        forget_others(S, letter)
        for i = 1, #fields do
          local cell = S.cells[fields[i]] or {w = {}}
          S.cells[fields[i]] = cell
          E.reset(cell, given and given[fields[i]])
          cell.x = nil
          cell.w[#cell.w + 1] = {r.o, r.t, r.op, step == 2 and list[2 * i] or '', true}
        end
      end)
    end
    if not simple(S) then return long_way() end
    local raws = raw_cells(S, fields)
    local plain = r.prefix .. (packed_op[r.op] or mpack(r.op))
    local natives, cells, m = {}, {}, 0
    for i = 1, #fields do
      local element, v = list[i], nil
      if step == 2 then element, v = list[2 * i - 1], list[2 * i] end
      local raw = raws[i]
      cells[m + 1] = fields[i]
      if plainly(raw) then
        cells[m + 2] = plain
      else
        local cell = E.decode(raw)
        if not lift_cell(S, letter, element, cell) then return long_way() end
        E.reset(cell, given and given[fields[i]])
        cell.x = nil
        cell.w[#cell.w + 1] = {r.o, r.t, r.op, v or false, true}
        if #cell.w > 1 and letter ~= 's' then conflict(k, letter == 'h' and 'hash' or 'zset', element, cell) end
        v = shown(letter, cell)
        cells[m + 2] = E.encode(cell)
      end
      m = m + 2
      local n = #natives
      if letter == 's' then natives[n + 1] = element
      elseif letter == 'h' then natives[n + 1], natives[n + 2] = element, v
      else natives[n + 1], natives[n + 2] = v, element end
    end
    if in_parts(WRITE[letter], k, natives) then return long_way() end
    S.rec.x = nil
    if S.form == 's' then E.hash_form(S) end
    cells[m + 1], cells[m + 2] = 'n' .. r.o, format('%.0f', r.t)
    m = m + 2
    local enc = E.encode(S.rec)
    if enc ~= S.raw then
      cells[m + 1], cells[m + 2] = '', enc
      S.raw = enc
    end
    if not S.form then
      E.count_companion(1)
      S.form = 'h'
    end
    in_parts('HSET', S.ck, cells)
    if S.rec.T then E.native_ttl(S) end
    if S.adopted then E.note_ttl(S) end
  end

  function F.a(list, p)
    merge_elements(list[p + 1], list[p + 2], list[p + 4])
    return p + 5
  end

  function F.A(list, p)
    merge_elements(list[p + 1], list[p + 2], list[p + 4], E.by_field(list[p + 5]))
    return p + 6
  end

  function F.r(list, p)
    local letter, k, elements, given = list[p + 1], list[p + 2], list[p + 3], E.by_field(list[p + 4])
    local S = open_for(k)
    touch(k)
    local fields = {}
    for i = 1, #elements do fields[i] = letter .. elements[i] end
    local function long_way()
      S.cells = nil
      full(S, true, function()
        forget_others(S, letter)
        for i = 1, #fields do
          local cell = S.cells[fields[i]]
          if cell then E.reset(cell, given[fields[i]]) end
        end
      end)
    end
    if not simple(S) then
      long_way()
      return p + 5
    end
    local raws = raw_cells(S, fields)
    local gone, dropped, kept, writes = {}, {}, {}, {}
    for i = 1, #fields do
      local raw = raws[i]
      if plainly(raw) then
        gone[#gone + 1] = elements[i]
        if raw then dropped[#dropped + 1] = fields[i] end
      else
        local cell = E.decode(raw)
        if not lift_cell(S, letter, elements[i], cell) then
          long_way()
          return p + 5
        end
        E.reset(cell, given[fields[i]])
        if E.live(cell) then
          local v = shown(letter, cell)
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
    if in_parts(REMOVE[letter], k, gone) then
      -- The key shows another type here, of which the effect's origin may have seen something.
      long_way()
      return p + 5
    end
    in_parts(WRITE[letter], k, writes)
    if S.form == 'h' then
      in_parts('HDEL', S.ck, dropped)
      in_parts('HSET', S.ck, kept)
    elseif S.adopted then
      E.save(S)
    end
    return p + 5
  end

  local function count_string(k, t0, op0, sum, float)
    local r, S = remote, E.open(k)
    local rec = S.rec
    if not S.form then E.adopt_ttl(S) end
    local top = E.winner(rec)
    local native = try('GET', k)
    local clash = S.form == 'h' or rec.y or type_(native) == 'table' or (top and top[4] == false and native == false)
    if clash then
      full(S, true, function()
        forget_others(S, 'k')
        E.take_share(rec, t0, op0, sum, float)
        rec.x = nil
      end)
      return
    end
    if top then
      if top[4] == false then top[4] = native end
    elseif native and not E.shares_live(rec) then
      rec.w[1] = {'', 0, 0, native, false}
    end
    E.take_share(rec, t0, op0, sum, float)
    rec.x = nil
    local v = E.value(rec)
    if v ~= native then call('SET', k, v, 'KEEPTTL') end
    if rec.T then E.native_ttl(S) end
    E.save(S)
  end

  local function count_element(letter, k, element, t0, op0, sum, float)
    local S, field = open_for(k), letter .. element
    local function long_way()
      S.cells = nil
      full(S, true, function()
        forget_others(S, letter)
        local cell = S.cells[field] or {w = {}}
        S.cells[field] = cell
        cell.x = nil
        E.take_share(cell, t0, op0, sum, float)
      end)
    end
    if not simple(S) then return long_way() end
    local raw = S.form == 'h' and call('HGET', S.ck, field)
    local cell = raw and E.decode(raw) or {w = {}}
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
    local v = shown(letter, cell)
    if v ~= native then
      if letter == 'h' then call('HSET', k, element, v) else call('ZADD', k, v, element) end
    end
    S.rec.c, S.rec.x = true, nil
    if S.form == 's' then E.hash_form(S) end
    local enc = E.encode(S.rec)
    if not S.form then
      E.count_companion(1)
      S.form = 'h'
    end
    call('HSET', S.ck, '', enc, field, E.encode(cell), 'n' .. remote.o, format('%.0f', remote.t))
    S.raw = enc
    if S.rec.T then E.native_ttl(S) end
    if S.adopted then E.note_ttl(S) end
  end

  function F.i(list, p)
    local letter, k = list[p + 1], list[p + 2]
    touch(k)
    if letter == 'k' then
      count_string(k, list[p + 4], list[p + 5], list[p + 6], list[p + 7])
    else
      count_element(letter, k, list[p + 3], list[p + 4], list[p + 5], list[p + 6], list[p + 7])
    end
    return p + 8
  end

  -- elements_seen looks only at the newest stamp of each origin: most removals have seen everything.
  local function elements_seen(S)
    local stamps = call('HMGET', S.ck, unpack_(E.stamp_fields))
    local found = 0
    for i = 1, #stamps do
      if stamps[i] then
        found = found + 1
        local o, at = sub(E.stamp_fields[i], 2), tonumber_(stamps[i])
        if o == remote.o then
          if at > remote.t then return false end
        elseif at > (remote.seen[o] or 0) then
          return false
        end
      end
    end
    return true
  end

  function F.R(list, p)
    local k, given = list[p + 1], E.by_field(list[p + 2])
    local r, S = remote, E.open(k)
    local rec = S.rec
    touch(k)
    if rec.T then S.timed = true end
    if all_seen(rec) and (S.form ~= 'h' or (not rec.c and elements_seen(S))) then
      E.reset(rec)
      rec.w, rec.T, rec.y, rec.x = {}, nil, nil, {r.o, r.t, r.op}
      call('UNLINK', k)
      if S.form == 'h' then
        call('UNLINK', S.ck)
        S.form, S.raw = 's', ''
      end
      E.save(S)
    else
      full(S, false, function()
        forget(S, given)
        E.set_ttl(rec, r.o, r.t, r.op, -1)
        rec.x = {r.o, r.t, r.op}
      end)
    end
    E.note_ttl(S)
    return p + 3
  end

  function F.E(list, p)
    local k, at = list[p + 1], list[p + 2] < EXACT and list[p + 2] or EXACT - 1
    local r, S = remote, E.open(k)
    touch(k)
    if S.rec.T then S.timed = true end
    E.set_ttl(S.rec, r.o, r.t, r.op, at)
    E.native_ttl(S)
    E.save(S)
    E.note_ttl(S)
    return p + 3
  end

  -- What the origin had seen of counters that a clash of types hid there.
  function F.V(list, p)
    local k, given = list[p + 1], E.by_field(list[p + 2])
    touch(k)
    full(E.open(k), true, function(S)
      for field, of in pairs_(given) do
        local cell = field == '' and S.rec or S.cells[field]
        if field == '' then E.keep_persist(cell) end
        if cell then E.reset(cell, of) end
      end
    end)
    return p + 3
  end

  function F.O(list, p)
    local k, dump = list[p + 1], list[p + 2]
    local r, S = remote, E.open(k)
    touch(k)
    full(S, true, function()
      forget(S)
      S.cells.o = S.cells.o or {w = {}}
      S.cells.o.w[#S.cells.o.w + 1] = {r.o, r.t, r.op, dump, true}
    end)
    return p + 3
  end

  -- Flushing: what the flush has not seen is lifted out, the database emptied, and the rest shown again.
  function F.F(list, p)
    local target, offsets = list[p + 1], list[p + 2]
    local r, here = remote, db
    local given = {}
    for i = 1, #offsets, 8 do
      local name = offsets[i]
      local of = given[name] or {}
      given[name] = of
      for j = 1, 7 do of[#of + 1] = offsets[i + j] end
    end
    local dbs = target >= 0 and {target} or E.databases()
    for _, d in pairs_(dbs) do
      E.select(d)
      local survivors, met = {}, {}
      E.each_companion(function(k)
        local S = E.open(k)
        local name = d .. ':' .. k
        if not met[k] and (given[name] or S.rec.s or S.rec.c or not all_seen(S.rec) or (S.form == 'h' and not elements_seen(S))) then
          met[k] = true
          E.lift(S)
          survivors[#survivors + 1] = S
        end
      end)
      E.empty()
      E.select(d)
      counted[d] = nil
      for name in pairs_(ttl_queue) do
        if find(name, d .. ':', 1, true) == 1 then ttl_queue[name] = nil end
      end
      E.select(0)
      for _, name in pairs_(call('ZRANGE', TTLS, 0, -1)) do
        if find(name, d .. ':', 1, true) == 1 then call('ZREM', TTLS, name) end
      end
      E.select(d)
      for _, S in pairs_(survivors) do
        S.form, S.raw = nil, nil
        local of = given[d .. ':' .. S.k]
        forget(S, of and E.by_field(of))
        E.set_ttl(S.rec, r.o, r.t, r.op, -1)
        S.rec.x = {r.o, r.t, r.op}
        touch(S.k)
        finish_full(S)
      end
    end
    E.select(here)
    return p + 3
  end

  F.D = function(list, p)
    E.select(list[p + 1])
    return p + 2
  end
end
