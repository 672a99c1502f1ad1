-- Remote effects on whole keys and whole databases.

do
  local F, M = E.effects, E.merge

  -- elements_seen looks only at the newest stamp of each origin: most removals have seen everything.
  function M.elements_seen(S)
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
    M.touch(k)
    local behind = M.renewed_stream(S, list, p, given)
    if behind then return behind end
    if rec.T then S.timed = true end
    -- What comes with a removal of all groups says more than the cells of groups do.
    local all = list[p + 3] == 'g' and list[p + 4] == k and list[p + 5] == 'D'
    local groups = rec.q and not all
    if all then r.groups = E.groups_of(k) end
    if not given.p and M.all_seen(rec) and (S.form ~= 'h' or (not rec.c and not groups and M.elements_seen(S))) then
      rec.q = nil
      E.reset(rec)
      E.bury(S, r.o, r.t, r.op)
      call('UNLINK', k)
      E.drop_cells(S)
      E.save(S)
    elseif next_(given) or not M.remove_most(S) then
      -- Of a list that was changed past the engine nobody knows here which element is whose.
      if E.native_type(k) == 'l' then E.open_places(S, call('LLEN', k)) end
      M.full(S, false, function()
        M.forget(S, given)
        E.set_ttl(rec, r.o, r.t, r.op, -1)
        rec.x = {r.o, r.t, r.op}
        local survivor, letter = M.remains(S)
        if survivor then M.survived(k, letter, '', survivor, rec.x) end
      end)
    end
    E.note_ttl(S)
    return p + 3
  end

  function F.E(list, p)
    local k, at = list[p + 1], list[p + 2] < EXACT and list[p + 2] or EXACT - 1
    local r, S = remote, E.open(k)
    M.touch(k)
    if S.rec.T then S.timed = true end
    if not S.form and call('EXISTS', k) == 1 then S.rec.b = true end
    local function change()
      E.set_ttl(S.rec, r.o, r.t, r.op, at)
      local T = S.rec.T
      if not T or #T < 2 then return end
      local list = E.slice(T, 1, #T)
      sort(list, E.longer)
      local function side(c) return {c[1], c[2], c[3], c[4] == 0 and 'none' or format('%.0f', c[4])} end
      M.report(k, 'ttl', '', 'the longest time to live wins', side(list[1]), side(list[2]))
    end
    if E.passed(S.rec) or (at > 0 and at <= now) then
      -- What a passed deadline hides keeps its values, and what one has hidden may be shown again.
      M.full(S, true, change)
    else
      change()
      E.native_ttl(S)
      E.save(S)
      E.note_ttl(S)
    end
    return p + 3
  end

  -- Cells that their origin reset by name, as far as it had seen them: of types that a clash hid, or without their values.
  function F.V(list, p)
    local k, given = list[p + 1], E.by_field(list[p + 2])
    M.touch(k)
    M.full(E.open(k), true, function(S)
      M.named(S, given)
      for field, of in pairs_(given) do
        local cell = field == '' and S.rec or S.cells[field]
        if field == '' then E.keep_persist(cell) end
        if cell then E.reset_field(field, cell, of) end
      end
    end)
    return p + 3
  end

  function F.O(list, p)
    local k, dump = list[p + 1], list[p + 2]
    local r, S = remote, E.open(k)
    M.touch(k)
    M.full(S, true, function()
      M.forget(S)
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
        r.seen = M.context_of(k)
        if not met[k] and (given[name] or S.rec.v or S.rec.s or S.rec.c or S.rec.q or S.rec.d or not M.all_seen(S.rec) or (S.form == 'h' and not M.elements_seen(S))) then
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
        S.form, S.raw, S.native = nil, nil, nil
        local of = given[d .. ':' .. S.k]
        r.seen = M.context_of(S.k)
        if not E.included(S.rec) then
          M.forget(S, of and E.by_field(of))
          E.set_ttl(S.rec, r.o, r.t, r.op, -1)
          S.rec.x = {r.o, r.t, r.op}
        end
        M.touch(S.k)
        M.finish_full(S)
      end
    end
    E.note_flush(target)
    E.select(here)
    return p + 3
  end

  F.D = function(list, p)
    E.select(list[p + 1])
    return p + 2
  end

  -- What the following effects of the entry on one key have seen besides the entry's context.
  F.C = function(list, p)
    local r = remote
    r.wide = r.wide or {}
    r.wide[db .. ':' .. list[p + 1]] = E.union(E.union({}, r.context), list[p + 2])
    return p + 3
  end

  -- context_of is what the effect at work has seen of a key.
  function M.context_of(k)
    local r = remote
    return r.wide and r.wide[db .. ':' .. k] or r.context
  end

  -- skips says that a merge has brought here already what the effect at work does to a key.
  function M.skips(k) return E.included(E.open(k).rec) end
end
