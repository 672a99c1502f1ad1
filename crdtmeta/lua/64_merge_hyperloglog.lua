-- Remote effects on HyperLogLogs.

do
  local F, M = E.effects, E.merge

  -- wanted says whether the effect has seen every removal of the cell. One that it has not seen wins, here and everywhere.
  local function wanted(k, cell)
    local removal, r = M.unseen(cell.e, E.seen), remote
    if removal then M.taken_away(k, removal, {r.o, r.t, r.op}) end
    return not removal
  end

  function F.p(list, p)
    local k, v = list[p + 1], list[p + 2]
    local r, S = remote, E.open_collection(k)
    local rec = S.rec
    M.touch(k)
    if rec.p and not rec.y and #rec.w == 0 and not E.passed(rec) and call('EXISTS', k) == 1 then
      local cell = E.registers_of(S)
      if not wanted(k, cell) then return p + 3 end
      if E.join_into(k, v) then
        local write = {r.o, r.t, r.op, false, true}
        if E.after(write, cell.w[1]) then cell.w[1] = write end
        cell.j[r.o] = r.t
        E.put(S, {'p', E.encode(cell)}, 2, r.o, r.t)
        return p + 3
      end
    end
    S.cells = nil
    M.full(S, true, function()
      M.forget_others(S, 'p')
      rec.b = nil
      local cell = S.cells.p or E.no_registers()
      S.cells.p = cell
      if wanted(k, cell) then
        cell.w[#cell.w + 1] = {r.o, r.t, r.op, v, true}
        cell.j[r.o] = r.t
      end
    end)
    return p + 3
  end

  -- fill_registers gives a cell whose registers expired here what another region has of it: all that is joined here must be
  -- joined there, and nothing that was removed here. joined and removed are the j and e of the other region's cell.
  function E.fill_registers(cell, v, joined, removed)
    for o, at in pairs_(cell.j) do
      if (joined[o] or 0) < at then return end
    end
    for o, x in pairs_(cell.e) do
      local y = removed[o]
      if not y or y[1] < x[1] or (y[1] == x[1] and y[2] < x[2]) then return end
    end
    for i = 1, #cell.w do
      if cell.w[i][4] == false then cell.w[i][4] = v end
    end
  end
end
