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
    if cell.e then
      for o, x in pairs_(cell.e) do lines[#lines + 1] = name .. ' removed by ' .. stamp_text(o, x[1], x[2]) end
    end
    if cell.x and #cell.w == 0 then lines[#lines + 1] = name .. ' removed by ' .. stamp_text(cell.x[1], cell.x[2], cell.x[3]) end
  end

  local NAME = {s = 'member', h = 'field', z = 'member', o = 'value', x = 'entry', p = 'registers'}

  -- cell_name gives a cell's field in words: list elements by the effect that made them.
  local function cell_name(field)
    if byte(field, 1) ~= 108 then return NAME[sub(field, 1, 1)] .. ' "' .. sub(field, 2, 65) .. '"' end
    local place = sub(field, 2)
    local o, at, n, index = E.made(place)
    if o == '' then return 'element that was at ' .. E.cold_range(place) end
    return format('element %d of %s', index, stamp_text(o, at, n))
  end

  -- group_lines says whether a field is a consumer group's.
  local function group_lines(field, cell, lines)
    if sub(field, 1, 2) == 'xl' then return true end
    if sub(field, 1, 2) ~= 'xg' then return false end
    local name = 'group "' .. sub(field, 3, 66) .. '"'
    for _, c in pairs_(cell.g or {}) do lines[#lines + 1] = name .. ' created by ' .. stamp_text(c[1], c[2], c[3]) .. ' from ' .. c[4] end
    for o, at in pairs_(cell.d or {}) do lines[#lines + 1] = name .. ' destroyed by ' .. stamp_text(o, at[1], at[2]) end
    if cell.l then lines[#lines + 1] = name .. ' has still to deliver ' .. #cell.l .. (cell.m and ' and more' or '') .. ' that arrived late' end
    if cell.k then lines[#lines + 1] = name .. ' has told other regions that all is acknowledged up to ' .. cell.k end
    return true
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
    for j = 1, #fields < 200 and #fields or 200 do
      local field = fields[j]
      if not group_lines(field, S.cells[field], lines) then cell_lines(cell_name(field), S.cells[field], lines) end
    end
    if #fields > 200 then lines[#lines + 1] = '… and ' .. #fields - 200 .. ' more' end
    return concat(lines, '\n')
  end

  -- FCALL anabranch_state db key: every write with its stamp and value, msgpack.
  function E.state(argv)
    local refused = E.begin(0)
    if refused then return refused end
    if E.reserved(argv[2]) then return {err = 'ERR anabranch: malformed call'} end
    E.select(tonumber_(argv[1]))
    local S = E.open(argv[2])
    E.lift(S, true)
    local list = {}
    local function add(field, cell)
      for i = 1, #cell.w do
        local w = cell.w[i]
        if w[4] then list[#list + 1] = {field, w[1], w[2], w[3], w[4], cell.j, cell.e} end
      end
      -- A group that every region knows has no cell where it got lost.
      for _, c in pairs_(cell.g or {}) do
        if c[1] == '' then list[#list + 1] = {field, c[1], c[2], c[3], c[4]} end
      end
    end
    add('', S.rec)
    for field, cell in pairs_(S.cells) do add(field, cell) end
    return mpack(list)
  end

  -- recall finds the value that a write of this region had, in the log.
  local function recall(k, field, o, at, n)
    if o == '' or not E.our_region(o) then return nil end
    E.select(0)
    local id = E.entry_id(at)
    local found = call('XRANGE', LOG, id, id)[1]
    local list = found and munpack(found[2][2])
    return list and list[1] == 'e' and list[2] == o and E.written_value(list, found[2], n, k, sub(field, 2))
  end

  -- give_up resets, here and in all regions, what this region has seen of cells whose values nobody gave back, and of the
  -- given ones. Most were removed by the TTL effect's region, and the effect that says so is on the way; but what no effect
  -- says is the truth of this region only.
  local function give_up(S, fields)
    local list = {}
    local function reset(field, cell)
      E.offsets(cell, field, list)
      -- A share of nobody names a cell that has none.
      for _, v in pairs_({field, '', 0, 0, 0, 0, 0}) do list[#list + 1] = v end
      E.reset(cell)
    end
    if E.hollow(S.rec) then
      E.keep_persist(S.rec)
      reset('', S.rec)
    end
    for field, cell in pairs_(S.cells) do
      if E.hollow(cell) then reset(field, cell) end
    end
    for i = 1, #fields do reset(fields[i], {w = {}}) end
    if #list > 0 then E.emit('V', S.k, list) end
  end

  -- FCALL anabranch_refill db key state origin t: puts values back that expired here natively. Only values of writes
  -- that are known here are taken; anything newer comes with its own effect.
  function E.refill(argv)
    local refused = E.begin(0)
    if refused then return refused end
    E.refilled[argv[1] .. ':' .. argv[2]] = argv[4] .. ' ' .. argv[5]
    E.select(tonumber_(argv[1]))
    local S = E.open(argv[2])
    if not S.form or call('EXISTS', S.k) == 1 then return 0 end
    local rec, cells, list, removed = S.rec, E.load_cells(S), munpack(argv[3]), {}
    E.lift_list(S, true)
    for i = 1, #list do
      local field, o, at, n, v = list[i][1], list[i][2], list[i][3], list[i][4], list[i][5]
      local cell = field == '' and rec or cells[field]
      local w = cell and cell.w
      if cell and cell.e then
        E.fill_registers(cell, v, list[i][6], list[i][7])
      elseif w and #w > 0 then
        for j = 1, #w do
          if w[j][4] == false and w[j][1] == o and w[j][2] == at and w[j][3] == n then w[j][4] = v end
        end
      elseif o == '' and sub(field, 1, 2) == 'xg' then
        cell = cell or {w = {}}
        if rec.b and not cell.g and not cell.d and not rec.d then
          cell.g = {{'', 0, 0, v}}
          cells[field] = cell
        end
      elseif o == '' and not (cell and E.shares_live(cell)) then
        if not rec.b then
          removed[#removed + 1] = field
        elseif field == '' then
          rec.w[1] = {'', 0, 0, v, false}
        else
          cells[field] = {w = {{'', 0, 0, v, true}}, s = cell and cell.s}
        end
      end
    end
    local function from_log(field, cell)
      for i = 1, #cell.w do
        local w = cell.w[i]
        if w[4] == false then w[4] = recall(S.k, field, w[1], w[2], w[3]) or false end
      end
    end
    from_log('', rec)
    for field, cell in pairs_(cells) do from_log(field, cell) end
    E.select(tonumber_(argv[1]))
    give_up(S, removed)
    -- The TTL effect that waits for this comes next; until then the key must not hide again.
    local T = rec.T
    rec.T = nil
    E.show(S)
    rec.T = T
    E.save(S)
    E.note_ttl(S)
    E.stir(S.k)
    E.finish()
    return 1
  end
end
