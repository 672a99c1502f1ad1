-- What this region has removed and another one does not know yet. While everything is being merged and clients may write, a state may have been
-- read before the other region heard of it. What it has there without a stamp, the removal will take there; so it must not come here.

do
  local ALL, TTL = '*', 'T'  -- all fields, and the time to live; no field has these names
  local BUT = '^'            -- before a type: all fields of other types, as any effect on that one removes them
  local TYPES = {'k', 'h', 's', 'z', 'l', 'x', 'p'}
  local TYPE_OF = {S = 'k', W = 'k', l = 'l', L = 'l', d = 'l', p = 'p', g = 'x'} -- kinds of effects that do not name it
  local RUNS = '#'           -- what lists had in a row, as {first, last, t}
  local removals = {}        -- database:key, database, or -1 for all → field → t
  local from, upto           -- of our log what lies between is in it
  local MOST = 8388608       -- bytes of the log in one call, or a little more

  local function note(name, field, at)
    local fields = removals[name] or {}
    removals[name], fields[field] = fields, at
  end

  -- note_place notes an entry of a list's places: one of them, or many in a row.
  local function note_place(name, entry, at)
    if #entry ~= RUN then return note(name, 'l' .. entry, at) end
    local fields = removals[name]
    local first, last = E.cold_range(entry)
    fields[RUNS] = fields[RUNS] or {}
    fields[RUNS][#fields[RUNS] + 1] = {first, last, at}
  end

  -- note_effect notes what an effect of ours removes. Before its key it has the type, if it names that.
  local function note_effect(at, d, kind, a, b, c)
    if kind == 'F' then return note(tostring_(a), ALL, at) end
    local named = E.key_at[kind] == 2
    local name, letter = d .. ':' .. (named and b or a), named and a or TYPE_OF[kind]
    if letter and not (kind == 'g' and b == 'D') then note(name, BUT .. letter, at) end
    if kind == 'R' then
      note(name, ALL, at)
    elseif kind == 'E' then
      note(name, TTL, at)
    elseif kind == 'V' then
      for i = 1, #b, 7 do note(name, b[i], at) end
    elseif kind == 'r' then
      for i = 1, #c do note(name, letter .. c[i], at) end
    elseif kind == 'd' then
      for i = 1, #b do note_place(name, b[i], at) end
    end
  end

  -- forget drops what is noted up to told.
  local function forget(told)
    from = told
    for name, fields in pairs_(removals) do
      local runs = {}
      for i = 1, #(fields[RUNS] or runs) do
        if fields[RUNS][i][3] > told then runs[#runs + 1] = fields[RUNS][i] end
      end
      fields[RUNS] = nil
      for field, at in pairs_(fields) do
        if at <= told then fields[field] = nil end
      end
      if #runs > 0 then fields[RUNS] = runs end
      if not next_(fields) then removals[name] = nil end
    end
  end

  function E.forget_removals() removals, from, upto = {}, nil, nil end

  -- know_removals reads what our log has beyond theirs, which region of had of it, and forgets what is before. What that one has of this epoch comes
  -- behind all of earlier ones. It answers why nothing can be merged yet: there is more than one call should read, and the next one goes on; or what
  -- should be read is trimmed, since the region has it by now, which its state does not say.
  function E.know_removals(theirs, of)
    local told = theirs[origin] or 0
    if not from or told < from then removals, from, upto = {}, told, told end
    if told > upto then upto = told end
    E.select(0)
    local cut = tonumber_(call('GET', PREFIX .. 'cut') or 0)
    if cut > upto + 1 then
      local acked = call('HGET', PREFIX .. 'acks', of)
      if acked and (munpack(acked)[origin] or 0) > told then return 'anew' end
    end
    local bytes = 0
    while upto < last_t do
      if bytes > MOST then return 'this region reads what it has removed' end
      local page = call('XRANGE', LOG, '(' .. E.entry_id(upto), '+', 'COUNT', 100)
      for i = 1, #page do
        local at, raw = E.entry_time(page[i][1]), page[i][2][2]
        local body = munpack(raw)
        if body[1] == 'e' and E.our_region(body[2]) and at > (theirs[body[2]] or 0) then
          E.each_effect(body, page[i][2], function(...) note_effect(at, ...) end)
        end
        upto, bytes = at, bytes + #raw + 100
      end
      if #page < 100 then upto = last_t end
    end
    if told > from then forget(told) end
  end

  -- removed_here says of fields of a key whether this region has removed them behind what the other one knows; without a field, of the time to live.
  -- It answers nil if none is, and also which type all that is so is not of, where nothing else is noted.
  function E.removed_here(k)
    local lists, spared = {}, nil
    for _, name in pairs_({db .. ':' .. k, tostring_(db), '-1'}) do lists[#lists + 1] = removals[name] end
    if #lists == 0 then return nil end
    for i = 1, #lists do
      for field in pairs_(lists[i]) do
        spared = spared == nil and byte(field, 1) == 94 and sub(field, 2)
      end
    end
    return function(field)
      local letter = field == '' and 'k' or field and sub(field, 1, 1)
      local cold = letter == 'l' and #field == 6 and byte(field, 2) == COLD and E.cold_range(sub(field, 2))
      for i = 1, #lists do
        local fields = lists[i]
        if fields[ALL] or fields[field or TTL] then return true end
        for j = 1, #TYPES do
          if letter and letter ~= TYPES[j] and fields[BUT .. TYPES[j]] then return true end
        end
        local runs = cold and fields[RUNS] or {}
        for j = 1, #runs do
          if cold >= runs[j][1] and cold <= runs[j][2] then return true end
        end
      end
      return false
    end, spared or nil
  end
end
