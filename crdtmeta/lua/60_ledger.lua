-- The ledger of conflicts: what merging reports, for people. No rule reads it (docs/engine.md, 7).

do
  local M = E.merge

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
  function M.clash(S)
    local newest = newest_by_type(S)
    local best, of = newest_of(newest)
    for letter, top in pairs_(newest) do
      if letter ~= of then
        M.report(S.k, 'type', '', 'the type of the last write is shown', {best[1], best[2], best[3], TYPE[of]}, {top[1], top[2], top[3], TYPE[letter]})
      end
    end
  end

  -- taken_away reports that a removal ends a HyperLogLog's registers although it has not seen all that was added to them.
  function M.taken_away(k, removal, addition)
    if not addition then return end
    M.report(k, 'p', '', 'a removal wins over a write', {removal[1], removal[2], removal[3], ''}, {addition[1], addition[2], addition[3], ''})
  end

  -- group_ended reports that destroying a group ends what has not seen it, or was not seen by it. what says what that was.
  function M.group_ended(k, name, destruction, o, at, n, what)
    M.report(k, 'group', name, 'destroying a group wins', {destruction[1], destruction[2], destruction[3], ''}, {o, at, n, what})
  end

  -- clipped reports a cell whose sum is shown as another number. The newest part of the sum stands beside what is shown, the one
  -- before it beside what it adds.
  local function clipped(k, letter, element, cell, v)
    local rule, parts = E.clipped, {E.winner(cell)}
    for o, s in pairs_(cell.s) do
      if E.share_live(s) then parts[#parts + 1] = {o, s[3], s[4], letter == 'z' and s[5] - s[8] or E.part(s)} end
    end
    sort(parts, E.after)
    local top = parts[1]
    M.report(k, 'counter', element, rule, {top[1], top[2], top[3], v}, parts[2] or top)
  end

  -- sum is what the user's key shall show of a cell.
  function M.sum(k, letter, element, cell)
    E.clipped = nil
    local v
    if letter == 'z' then v = E.score(cell) else v = E.value(cell) end
    if E.clipped then clipped(k, letter, element, cell, v) end
    return v
  end

  -- summed looks at the sum of a cell that a merge or the long way has changed, and shows later.
  function M.summed(k, letter, element, cell)
    if cell.s and not E.hollow(cell) then M.sum(k, letter, element, cell) end
  end
end
