-- What this region has removed and another one does not know yet. While everything is being merged and clients may write, a state may have been
-- read before the other region heard of it. What it has there without a stamp, the removal will take there; so it must not come here.

do
  local ALL, TTL = '*', 'T'  -- all fields, and the time to live; no field has these names
  local BUT = '^'            -- before a type: all fields of other types, as any effect on that one removes them
  local TYPES = {'k', 'h', 's', 'z', 'l', 'x', 'p'}
  local removals = {}        -- database:key, database, or -1 for all → field → t
  local from, upto           -- of our log what lies between is in it
  local PAGES, PAGE = 20, 1000

  local function note(name, field, at)
    local fields = removals[name] or {}
    removals[name], fields[field] = fields, at
  end

  local function places_of(entry)
    if #entry ~= 9 then return {entry} end
    local first, last = E.cold_range(entry)
    return E.spelt({entry}, last - first + 1)
  end

  -- written answers the key and the type that an effect is about, or nil.
  local function written(kind, a, b)
    if kind == 'S' or kind == 'W' then return a, 'k' end
    if kind == 'a' or kind == 'A' or kind == 'i' or kind == 'r' then return b, a end
    if kind == 'l' or kind == 'L' or kind == 'd' then return a, 'l' end
    if kind == 'p' then return a, 'p' end
    if kind == 'g' and b ~= 'D' then return a, 'x' end
  end

  -- note_effect notes what an effect of ours removes.
  local function note_effect(at, d, kind, a, b, c)
    local k, letter = written(kind, a, b)
    if k then note(d .. ':' .. k, BUT .. letter, at) end
    if kind == 'R' or kind == 'E' then
      note(d .. ':' .. a, kind == 'R' and ALL or TTL, at)
    elseif kind == 'F' then
      note(tostring_(a), ALL, at)
    elseif kind == 'V' then
      for i = 1, #b, 7 do note(d .. ':' .. a, b[i], at) end
    elseif kind == 'r' then
      for i = 1, #c do note(d .. ':' .. b, a .. c[i], at) end
    elseif kind == 'd' then
      for i = 1, #b do
        for _, place in pairs_(places_of(b[i])) do note(d .. ':' .. a, 'l' .. place, at) end
      end
    end
  end

  -- know_removals reads what our log has beyond theirs, which the other region has of it, and forgets what is before. What it has of this epoch comes
  -- behind all of earlier ones. It answers false if there is more of it than one call should read; the next one goes on.
  function E.know_removals(theirs)
    local told = theirs[origin] or 0
    if not from or told < from then removals, from, upto = {}, told, told end
    E.select(0)
    local pages = 0
    while upto < last_t do
      if pages == PAGES then return false end
      local page = call('XRANGE', LOG, '(' .. E.entry_id(upto), '+', 'COUNT', PAGE)
      pages = pages + 1
      for i = 1, #page do
        local at, body = E.entry_time(page[i][1]), munpack(page[i][2][2])
        if body[1] == 'e' and E.our_region(body[2]) and at > (theirs[body[2]] or 0) then
          E.each_effect(body, page[i][2], function(...) note_effect(at, ...) end)
        end
        upto = at
      end
      if #page < PAGE then upto = last_t end
    end
    if told > from then
      from = told
      for name, fields in pairs_(removals) do
        for field, at in pairs_(fields) do
          if at <= told then fields[field] = nil end
        end
        if not next_(fields) then removals[name] = nil end
      end
    end
    return true
  end

  -- removed_here says of fields of a key whether this region has removed them behind what the other one knows; nil if none. Without a field, of the
  -- time to live.
  function E.removed_here(k)
    local lists = {}
    for _, name in pairs_({db .. ':' .. k, tostring_(db), '-1'}) do lists[#lists + 1] = removals[name] end
    if #lists == 0 then return nil end
    return function(field)
      for i = 1, #lists do
        local fields = lists[i]
        if fields[ALL] or fields[field or TTL] then return true end
        local letter = field == '' and 'k' or field and sub(field, 1, 1)
        for j = 1, #TYPES do
          if letter and letter ~= TYPES[j] and fields[BUT .. TYPES[j]] then return true end
        end
      end
      return false
    end
  end
end
