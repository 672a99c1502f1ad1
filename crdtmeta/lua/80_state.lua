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
    -- What could not be refilled was removed or replaced at its origin since: its effect is on the way.
    if E.missing(S) then
      local function trim(cell)
        local top = E.winner(cell)
        if top and top[4] == false then cell.w = {} end
      end
      trim(S.rec)
      for _, cell in pairs_(cells) do trim(cell) end
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
