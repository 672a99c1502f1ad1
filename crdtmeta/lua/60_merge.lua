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

  local SHOWN = 256 -- bytes of a value in the ledger
  local MOST = 64   -- reports of one call
  local TYPE = {k = 'string', s = 'set', h = 'hash', z = 'zset', l = 'list', x = 'stream', p = 'hyperloglog', o = 'value'}

  local function cut(v)
    if type_(v) == 'string' and #v > SHOWN then return sub(v, 1, SHOWN) end
    return v
  end

  -- report enters into the ledger that two effects did not know of each other. A side is {origin, t, op, value}. No rule reads
  -- the ledger.
  function M.report(k, letter, element, rule, winner, loser)
    local kind = TYPE[letter] or letter
    E.stats.conflicts = E.stats.conflicts + 1
    E.stats['conflicts_' .. kind] = (E.stats['conflicts_' .. kind] or 0) + 1
    local list = E.conflicts
    if #list >= MOST then return end
    local function side(w) return {o = w[1], t = w[2], op = w[3], v = E.ledger_values and cut(w[4]) or ''} end
    list[#list + 1] = mpack({
      db = db, key = cut(k), element = cut(element), type = kind, rule = rule, winner = side(winner), loser = side(loser), at = now,
    })
  end

  -- conflict reports concurrent writes of one cell.
  function M.conflict(k, letter, element, cell)
    if #cell.w < 2 then return end
    local top, loser = E.winner(cell), nil
    for i = 1, #cell.w do
      local w = cell.w[i]
      if w ~= top and (not loser or E.after(w, loser)) then loser = w end
    end
    M.report(k, letter, element, 'the last write wins', top, loser)
  end

  -- survived reports that something outlives a removal that has not seen it.
  function M.survived(k, letter, element, survivor, removal)
    M.report(k, letter, element, 'a write wins over a removal', survivor, {removal[1], removal[2], removal[3], ''})
  end

  -- over_removal does so for the effect at work, where the key was removed here (it has rec.x) by one that has not seen it.
  function M.over_removal(S, letter)
    local x, r = S.rec.x, remote
    if not E.seen(x[1], x[2], x[3]) then M.survived(S.k, letter, '', {r.o, r.t, r.op, ''}, x) end
  end

  -- newest_by_type lists the highest live stamp of each type of a lifted key.
  local function newest_by_type(S)
    local newest = {k = E.newest(S.rec)}
    for field, cell in pairs_(S.cells) do
      local top, letter = E.newest(cell), sub(field, 1, 1)
      if top and (not newest[letter] or E.after(top, newest[letter])) then newest[letter] = top end
    end
    return newest
  end

  local function newest_of(newest)
    local best, of
    for letter, top in pairs_(newest) do
      if not best or E.after(top, best) then best, of = top, letter end
    end
    return best, of
  end

  -- remains is the newest of what is alive in a lifted key, with its type.
  function M.remains(S) return newest_of(newest_by_type(S)) end

  -- clash reports each type of a lifted key that another one hides.
  local function clash(S)
    local newest = newest_by_type(S)
    local best, of = newest_of(newest)
    for letter, top in pairs_(newest) do
      if letter ~= of then
        M.report(S.k, 'type', '', 'the type of the last write is shown', {best[1], best[2], best[3], TYPE[of]}, {top[1], top[2], top[3], TYPE[letter]})
      end
    end
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
      if not S.rec.y then clash(S) end
      E.show(S)
      return
    end
    if not E.passed(S.rec) then E.lost[#E.lost + 1] = {db, S.k} end
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
    if given and given.p and not S.cells.p then S.cells.p = E.no_registers() end
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
