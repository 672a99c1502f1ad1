-- The state of one key, for people (EXPLAIN) and for a region whose copy of the values expired just before a longer
-- TTL arrived (state and refill).

do
  local function stamp_text(o, at, n)
    if o == '' then return 'stable' end
    return format('%s %s.%d', o, E.entry_id(at), n)
  end

  local function cell_lines(name, cell, lines)
    for i = 1, #cell.w do
      local w = cell.w[i]
      local line = name .. ' write ' .. stamp_text(w[1], w[2], w[3])
      if w == E.winner(cell) then line = line .. ' shown' else line = line .. ' concurrent, not shown' end
      if w[4] then line = line .. ' value "' .. sub(w[4], 1, 64) .. '"' end
      lines[#lines + 1] = line
    end
    if cell.s then
      for o, s in pairs_(cell.s) do
        lines[#lines + 1] = name .. ' counter share of ' .. o .. ' last ' .. stamp_text('', s[3], s[4]):gsub('stable', E.entry_id(s[3]) .. '.' .. s[4]) ..
          ' sum ' .. tostring_(s[5]) .. (s[6] > 0 and ' of which removed ' .. tostring_(s[8]) or '')
      end
    end
    if cell.x and #cell.w == 0 then lines[#lines + 1] = name .. ' removed by ' .. stamp_text(cell.x[1], cell.x[2], cell.x[3]) end
  end

  E.handlers['XCRDT.EXPLAIN'] = function(argv, i, n)
    local S = E.open(argv[i + 1])
    local lines = {'type ' .. call('TYPE', S.k).ok}
    if not S.form then
      lines[2] = 'no metadata: known to every region'
      return concat(lines, '\n')
    end
    cell_lines('key', S.rec, lines)
    if S.rec.T then
      for j = 1, #S.rec.T do
        local c = S.rec.T[j]
        lines[#lines + 1] = 'ttl ' .. stamp_text(c[1], c[2], c[3]) .. (c[4] == 0 and ' none' or ' until ' .. format('%.0f', c[4]))
      end
    end
    if S.rec.y then lines[#lines + 1] = 'hidden types ' .. S.rec.y end
    local fields = {}
    for field in pairs_(E.load_cells(S)) do fields[#fields + 1] = field end
    sort(fields, function(a, b) return a < b end)
    local NAME = {s = 'member', h = 'field', z = 'member', o = 'value'}
    for j = 1, #fields < 200 and #fields or 200 do
      cell_lines(NAME[sub(fields[j], 1, 1)] .. ' "' .. sub(fields[j], 2, 65) .. '"', S.cells[fields[j]], lines)
    end
    if #fields > 200 then lines[#lines + 1] = '… and ' .. #fields - 200 .. ' more' end
    return concat(lines, '\n')
  end

  -- FCALL anabranch_state db key: every value with the stamp of its shown write, msgpack.
  function E.state(argv)
    local refused = E.begin(0)
    if refused then return refused end
    E.select(tonumber_(argv[1]))
    local S = E.open(argv[2])
    E.lift(S, true)
    local list = {}
    local function add(field, cell)
      local top = E.winner(cell)
      if top and top[4] then list[#list + 1] = {field, top[1], top[2], top[3], top[4]} end
    end
    add('', S.rec)
    for field, cell in pairs_(S.cells) do add(field, cell) end
    return mpack(list)
  end

  -- recall finds the value that a write of this region had, in the log.
  local function recall(field, o, at, n)
    if sub(o, 1, find(o, '.', 1, true)) ~= sub(origin, 1, find(origin, '.', 1, true)) then return nil end
    E.select(0)
    local id = E.entry_id(at)
    local found = call('XRANGE', LOG, id, id)[1]
    local list = found and munpack(found[2][2])
    return list and list[1] == 'e' and list[2] == o and E.written_value(list, n, sub(field, 2))
  end

  -- settle_missing looks for values that the fetched state does not have. What the TTL effect's region had seen and has no
  -- more was removed there: its effect is on the way. What it had not seen was written here, and is in our log.
  local function settle_missing(S, context, from, upto)
    local here = db
    local function settle(field, cell)
      local top = E.winner(cell)
      while top and top[4] == false do
        local v = recall(field, top[1], top[2], top[3])
        local known = top[1] == from and top[2] <= upto or (context[top[1]] or 0) >= top[2]
        if v then
          top[4] = v
        elseif known then
          for i = #cell.w, 1, -1 do
            if cell.w[i] == top then table.remove(cell.w, i) end
          end
        else
          break
        end
        top = E.winner(cell)
      end
    end
    settle('', S.rec)
    for field, cell in pairs_(S.cells) do settle(field, cell) end
    E.select(here)
  end

  -- FCALL anabranch_refill db key state origin t: puts values back that expired here natively. Only values whose write is
  -- the one shown here, or that every region knows, are taken; anything newer comes with its own effect.
  function E.refill(argv)
    local refused = E.begin(0)
    if refused then return refused end
    E.touched, E.touched_list, E.lost, E.conflicts = {}, {}, {}, {}
    E.refilled[argv[1] .. ':' .. argv[2]] = argv[4] .. ' ' .. argv[5]
    E.select(tonumber_(argv[1]))
    local S = E.open(argv[2])
    if not S.form or call('EXISTS', S.k) == 1 then return 0 end
    local cells, list, filled = E.load_cells(S), munpack(argv[3]), 0
    for i = 1, #list do
      local field, o, at, n, v = list[i][1], list[i][2], list[i][3], list[i][4], list[i][5]
      local cell = field == '' and S.rec or cells[field]
      local top = cell and E.winner(cell)
      if top and top[1] == o and top[2] == at and top[3] == n then
        if top[4] == false then top[4] = v end
        filled = filled + 1
      elseif not top and o == '' and not (cell and E.shares_live(cell)) then
        if field == '' then
          S.rec.w[1] = {'', 0, 0, v, false}
        else
          cells[field] = {w = {{'', 0, 0, v, true}}, s = cell and cell.s}
        end
        filled = filled + 1
      end
    end
    settle_missing(S, E.context_of(argv[4]), argv[4], tonumber_(argv[5]))
    if E.missing(S) then
      -- A third region's write, lost here before its reader there knew it: then the key has expired for all.
      E.remove_local(S)
      E.finish()
      return 0
    end
    local T = S.rec.T
    S.rec.T = nil
    E.show(S)
    S.rec.T = T
    E.save(S)
    E.note_ttl(S)
    E.finish()
    return filled
  end
end
