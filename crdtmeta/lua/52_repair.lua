-- Repair: what this region shows of a key becomes a write of its own, so that all regions get it as they get any write, and the
-- metadata fits again what a write past the engine has changed.

do
  -- renew_stream removes a stream as seen and writes its entries anew. Its groups stay: only their creations are said again, so
  -- neither this region nor another one that has them loses consumers and what they have pending.
  local function renew_stream(S)
    local list = E.offsets(S.rec, '', {})
    if S.rec.T then S.timed = true end
    E.reset(S.rec)
    for field, cell in pairs_(E.load_cells(S)) do
      E.offsets(cell, field, list)
      E.reset(cell)
    end
    E.emit('R', S.k, list)
    E.bury(S, origin, t, op)
    E.write_companion(S, 'x')
    S.cells = nil
    E.note_ttl(S)
    E.stream_entries(S)
    for _, group in pairs_(E.groups_of(S.k)) do
      local cell = E.group_cell(S, group.name)
      local id = E.acknowledged(S.k, group.name, cell)
      E.emit('g', S.k, 'c', group.name, id)
      cell.g = {{origin, t, op, id}}
      E.keep_group(S, group.name, cell, origin, t)
    end
    local at = E.expiry(S.k)
    if at > 0 then E.ttl_changed(S, at) end
  end

  -- E.repair writes one key anew, or removes it where it is absent or past its deadline. It answers whether there is something.
  function E.repair(k)
    local S = E.open(k)
    if not S.form then E.adopt(S) end
    if call('EXISTS', k) == 0 or E.passed(S.rec) then
      call('UNLINK', k)
      E.remove_local(S)
      return false
    end
    if E.native_type(k) == 'x' then
      renew_stream(S)
    else
      E.remove_local(S)
      E.content(S)
    end
    return true
  end

  -- XCRDT.REPAIR key… answers how many of the keys there are.
  E.handlers['XCRDT.REPAIR'] = function(argv, i, n)
    for j = i + 1, i + n - 1 do
      if call('EXISTS', argv[j]) == 1 and not E.native_type(argv[j]) then
        return {err = 'ERR a value of a module cannot be repaired'}
      end
    end
    local shown = 0
    for j = i + 1, i + n - 1 do
      if E.repair(argv[j]) then shown = shown + 1 end
    end
    return shown
  end
end
