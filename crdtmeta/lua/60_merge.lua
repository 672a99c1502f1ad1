-- Remote effects. The rules are those of the cells (10_cell.lua); this file finds the cells that an effect is about and
-- keeps the user's key in step. Common cases touch only what the effect names; a clash of types, a hidden loser that
-- comes back and the like take the long way: lift every value, change the cells, show the result.

do
  local M = E.merge

  -- touch notes that the call changes a key; the frontier record will name it. E.touched is a map from database to a list
  -- that is a set as well.
  function M.touch(k)
    local list = E.touched[db]
    if not list then
      list = {n = 0, set = {}}
      E.touched[db] = list
    end
    if not list.set[k] then
      list.set[k] = true
      list.n = list.n + 1
      list[list.n] = k
      if waiting[db] or fading[db] then E.stir(k) end
    end
  end

  -- touched is the flat list database, keys, database, keys… for the frontier record.
  function M.touched()
    local all = {}
    for d, list in pairs_(E.touched) do
      list.set, list.n = nil, nil
      all[#all + 1] = d
      all[#all + 1] = list
    end
    return all
  end

  -- unseen is the newest of a map of stamps, origin → {t, op} or t, that a side has not seen, or nil.
  function M.unseen(stamps, seen)
    local newest
    for o, x in pairs_(stamps or {}) do
      local at, n = x, 0
      if type_(x) == 'table' then at, n = x[1], x[2] end
      if not seen(o, at, n) then
        local stamp = {o, at, n}
        if not newest or E.after(stamp, newest) then newest = stamp end
      end
    end
    return newest
  end

  function M.all_seen(rec)
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
  function M.finish_full(S)
    if not E.missing(S) then
      if not S.rec.y then M.clash(S) end
      E.show(S)
      return
    end
    if not E.passed(S.rec) then E.lost[#E.lost + 1] = {db, S.k} end
    E.spread_rest(S)
    E.write_companion(S)
    S.cells = nil
    E.note_ttl(S)
  end

  -- stable counts the cells of a lifted key that every region knows.
  local function stable(S)
    local n = 0
    for _, cell in pairs_(S.cells) do
      if #cell.w == 1 and cell.w[1][1] == '' then n = n + 1 end
    end
    return n
  end

  -- full is the long way. keep is for effects that leave elements without a stamp alone.
  function M.full(S, keep, change)
    E.lift(S, keep)
    local known = S.rec.b and stable(S)
    change(S)
    if known and stable(S) < known then S.rec.b = nil end
    M.finish_full(S)
  end

  -- named makes the cell of a HyperLogLog that an effect names, to keep the removal.
  function M.named(S, given)
    if not given or not given.p then return end
    local cell, r = S.cells.p, remote
    if not cell then
      S.cells.p = E.no_registers()
    else
      M.taken_away(S.k, {r.o, r.t, r.op}, M.unseen(cell.j, E.seen))
    end
  end

  -- forget resets every cell of the key; given has the offsets by field.
  function M.forget(S, given)
    S.rec.b = nil
    M.named(S, given)
    E.reset(S.rec, given and given[''])
    for field, cell in pairs_(S.cells) do E.reset_field(field, cell, given and given[field]) end
  end

  -- forget_others resets the cells of types other than letter, as any write does. What a string's write said of the
  -- TTL stays said.
  function M.forget_others(S, letter)
    if letter ~= 'k' then
      E.keep_persist(S.rec)
      E.reset(S.rec)
    end
    for field, cell in pairs_(S.cells) do
      if sub(field, 1, 1) ~= letter then E.reset_field(field, cell) end
    end
  end
end
