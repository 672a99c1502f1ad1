-- What comes from another region is looked at here before any of it changes anything. A region is trusted with data: it may write
-- and remove whatever it likes of users' keys. It is not trusted with names of Anabranch's own keys, nor with metadata that no
-- engine makes, on which later calls would fail again and again.

do
  -- reserved says whether a name is one of Anabranch's own keys, or none at all.
  function E.reserved(k)
    local kind = type_(k)
    return (kind ~= 'string' and kind ~= 'number') or sub(k, 1, #PREFIX) == PREFIX
  end

  local reserved = E.reserved

  local function is_text(v)
    local kind = type_(v)
    return kind == 'string' or kind == 'number'
  end

  local function is_string(v) return type_(v) == 'string' end
  local function is_number(v) return type_(v) == 'number' and v == v end
  local function is_time(v) return is_number(v) and v >= 0 and v < EXACT and v == floor(v) end

  local function is_origin(o)
    return type_(o) == 'string' and #o < 80 and find(o, '^%d%d?%.%d+%.%d+%-%x%x%x%x%x%x$') ~= nil
  end

  -- An amount is an exact number or a decimal that Redis has computed.
  local function is_amount(v)
    if type_(v) == 'string' then return find(v, '^%-?%d+%.?%d*$') ~= nil end
    return is_number(v)
  end

  local function is_list(list, of)
    if type_(list) ~= 'table' then return false end
    for i = 1, #list do
      if not of(list[i]) then return false end
    end
    return true
  end

  local function are_texts(list)
    if type_(list) ~= 'table' then return false end
    for i = 1, #list do
      local kind = type_(list[i])
      if kind ~= 'string' and kind ~= 'number' then return false end
    end
    return true
  end

  -- is_id takes the ids of stream entries in the one form that Redis answers with.
  local function is_id(id)
    local ms, seq = match(type_(id) == 'string' and id or '', '^(%d+)%-(%d+)$')
    if not ms then return false end
    for _, part in pairs_({ms, seq}) do
      if #part > 20 or (#part > 1 and byte(part, 1) == 48) then return false end
      if #part == 20 and not E.within_64_bits(part) then return false end
    end
    return true
  end

  -- is_entry takes the content of a stream's entry as cells have it.
  local function is_entry(v)
    if type_(v) ~= 'string' then return false end
    local good, list = ppcall(munpack, v)
    return good and are_texts(list) and #list > 0 and #list % 2 == 0
  end

  -- are_elements takes what an effect writes: members, or pairs.
  local function are_elements(list, letter)
    if not are_texts(list) or (letter ~= 's' and #list % 2 ~= 0) then return false end
    if letter ~= 'x' then return true end
    for i = 1, #list, 2 do
      local element, v = list[i], list[i + 1]
      if not (element == '' and v == '') and not (is_id(element) and is_entry(v)) then return false end
    end
    return true
  end

  -- are_offsets takes a flat list of offsets. Each is seven values, or, where size is eight, those behind the key's name.
  local function are_offsets(list, size)
    if type_(list) ~= 'table' or #list % size ~= 0 then return false end
    for i = 1, #list, size do
      local p = i + size - 7
      if not is_text(list[p]) or not (list[p + 1] == '' or is_origin(list[p + 1])) or not is_amount(list[p + 6]) then return false end
      if size > 7 and not is_string(list[i]) then return false end
      for q = p + 2, p + 5 do
        if not is_time(list[q]) then return false end
      end
    end
    return true
  end

  function E.is_vector(map)
    if type_(map) ~= 'table' then return false end
    for o, at in pairs_(map) do
      if not is_origin(o) or not is_time(at) then return false end
    end
    return true
  end

  -- A frontier of many more origins than this could not be told to anybody (crdtmeta.MaxOrigins).
  local MOST_ORIGINS = 8192

  function E.too_many_origins(frontier, more)
    local n = 0
    for _ in pairs_(frontier) do n = n + 1 end
    for o in pairs_(more) do
      if not frontier[o] then n = n + 1 end
    end
    return n > MOST_ORIGINS
  end

  local function are_registers(v) return type_(v) == 'string' and sub(v, 1, 4) == 'HYLL' end

  local function is_database(d)
    if not is_time(d) or d >= 2147483648 then return false end
    local refused = try('SELECT', format('%.0f', d)).err
    call('SELECT', db)
    return not refused
  end

  -- is_place says whether a string is the place of one element.
  function E.is_place(place)
    if type_(place) ~= 'string' then return false end
    local first = byte(place, 1)
    if first == COLD and #place == 5 then return true end
    if first ~= 32 and first ~= 160 and (first ~= COLD or #place < 6) then return false end
    local good, o = ppcall(E.made, place)
    return good and is_origin(o)
  end

  local function are_places(list)
    return is_list(list, function(place) return E.is_place(place) or (is_string(place) and #place == RUN and byte(place, 1) == COLD) end)
  end

  -- A base of places is an end of the list, or a place and a side of it.
  local function is_base(base)
    if base == START or base == END then return true end
    local side = type_(base) == 'string' and sub(base, -1)
    return (side == '@' or side == '\128') and E.is_place(sub(base, 1, -2))
  end

  local ELEMENTS = {s = true, h = true, z = true, x = true} -- types of which a and r have elements; x does not come with offsets
  local COUNTED = {k = true, h = true, z = true}

  -- What may be said of a group, and what the value says then.
  local OF_GROUP = {c = is_id, k = is_id, s = is_id, d = is_text, D = is_text}

  local function are_offsets_of(list) return are_offsets(list, 7) end

  -- For each kind of effect what its values must be. There is no type without rules of its own, so nobody makes an O: RESTORE must not
  -- be given what a stranger has made.
  local CHECKS = {
    S = function(k, v) return not reserved(k) and is_text(v) end,
    M = function(n) return is_time(n) end,
    W = function(k, v, offsets) return not reserved(k) and is_text(v) and are_offsets_of(offsets) end,
    a = function(letter, k, n, list) return ELEMENTS[letter] and not reserved(k) and is_number(n) and are_elements(list, letter) end,
    A = function(letter, k, n, list, offsets)
      return ELEMENTS[letter] and letter ~= 'x' and not reserved(k) and is_number(n) and are_elements(list, letter) and are_offsets_of(offsets)
    end,
    r = function(letter, k, list, offsets)
      return ELEMENTS[letter] and not reserved(k) and are_texts(list) and (letter ~= 'x' or is_list(list, is_id)) and are_offsets_of(offsets)
    end,
    i = function(letter, k, element, t0, op0, sum, float)
      return COUNTED[letter] and not reserved(k) and is_text(element) and is_time(t0) and is_time(op0) and is_amount(sum) and is_number(float)
    end,
    R = function(k, offsets) return not reserved(k) and are_offsets_of(offsets) end,
    E = function(k, at) return not reserved(k) and is_number(at) end,
    O = function() return false end,
    V = function(k, offsets) return not reserved(k) and are_offsets_of(offsets) end,
    F = function(d, offsets) return (d == -1 or is_database(d)) and are_offsets(offsets, 8) end,
    D = function(d) return is_database(d) end,
    l = function(k, base, list) return not reserved(k) and is_base(base) and are_texts(list) end,
    d = function(k, places) return not reserved(k) and are_places(places) end,
    L = function(k, place, v) return not reserved(k) and E.is_place(place) and is_text(v) end,
    g = function(k, what, name, v) return not reserved(k) and is_text(name) and OF_GROUP[what] ~= nil and OF_GROUP[what](v) end,
    p = function(k, v) return not reserved(k) and are_registers(v) end,
    C = function(k, vector) return not reserved(k) and E.is_vector(vector) end,
  }

  -- proper says whether the effect at list[p], of a known kind, is one that an engine makes.
  function E.proper(list, p)
    return CHECKS[list[p]](list[p + 1], list[p + 2], list[p + 3], list[p + 4], list[p + 5], list[p + 6], list[p + 7])
  end

  -- States of merges.

  local function is_stamp(o, at, n) return (o == '' or is_origin(o)) and is_time(at) and is_time(n) end
  local function is_stamped(w) return type_(w) == 'table' and is_stamp(w[1], w[2], w[3]) end
  local function is_write(w) return is_stamped(w) and (w[4] == false or is_text(w[4])) end
  local function is_candidate(c) return is_stamped(c) and is_number(c[4]) end
  local function is_creation(c) return is_stamped(c) and is_id(c[4]) end

  local function is_map(map, of)
    if map == nil then return true end
    if type_(map) ~= 'table' then return false end
    for o, v in pairs_(map) do
      if not is_origin(o) or not of(v) then return false end
    end
    return true
  end

  local function is_moment(x) return type_(x) == 'table' and is_time(x[1]) and is_time(x[2]) end

  local function is_share(s)
    if type_(s) ~= 'table' or not is_amount(s[5]) or not is_amount(s[8]) then return false end
    for _, i in pairs_({1, 2, 3, 4, 6, 7}) do
      if not is_time(s[i]) then return false end
    end
    return true
  end

  local function is_cell(cell)
    return type_(cell) == 'table' and is_list(cell.w, is_write) and is_map(cell.s, is_share) and (cell.x == nil or is_stamped(cell.x))
      and is_map(cell.e, is_moment) and is_map(cell.j, is_time) and is_map(cell.d, is_moment)
      and (cell.g == nil or (is_list(cell.g, is_creation) and #cell.g > 0)) and cell.l == nil and cell.m == nil
  end

  local function has_values(cell, of)
    for i = 1, #cell.w do
      if cell.w[i][4] ~= false and not of(cell.w[i][4]) then return false end
    end
    return true
  end

  local function is_stream_field(element, cell)
    if element == '' then return true end
    if sub(element, 1, 1) == 'g' then return #cell.w == 0 end
    return is_id(element) and has_values(cell, is_entry)
  end

  local function is_field(field, cell)
    if field == 'p' then return cell.e ~= nil and cell.j ~= nil and has_values(cell, are_registers) end
    if type_(field) ~= 'string' or cell.e or cell.j then return false end
    local letter, element = sub(field, 1, 1), sub(field, 2)
    if cell.s and letter ~= 'h' and letter ~= 'z' then return false end -- only these can be counted
    if letter == 'x' then return is_stream_field(element, cell) end
    if cell.g or cell.d then return false end
    return letter == 's' or letter == 'h' or letter == 'z' or (letter == 'l' and E.is_place(element))
  end

  local function is_score(v)
    local n = match(v, '^[%w.+-]+$') and tonumber_(v)
    return n and n == n
  end

  -- are_known takes elements that every region knows.
  local function are_known(letter, list)
    if (letter ~= 's' and letter ~= 'h' and letter ~= 'z') or type_(list) ~= 'table' or (letter ~= 's' and #list % 2 ~= 0) then return false end
    for i = 1, #list do
      if not is_string(list[i]) or (letter == 'z' and i % 2 == 0 and not is_score(list[i])) then return false end
    end
    return true
  end

  -- proper_state says whether the state of a key is one that an engine gives.
  function E.proper_state(rec, cells, last_id, letter, list, entries)
    if type_(rec) == 'string' then
      local good, kind, o, at, n = ppcall(munpack, rec)
      return good and kind == 1 and is_stamp(o, at, n) and is_string(cells) and letter == nil
    end
    if not is_cell(rec) or rec.e or rec.j or type_(cells) ~= 'table' then return false end
    if (rec.T and not is_list(rec.T, is_candidate)) or (rec.v and not E.is_vector(rec.v)) or not (last_id == nil or last_id == '' or is_id(last_id)) then return false end
    if letter == 'l' then
      if not are_texts(list) or not are_texts(entries) or not E.spelt(entries, #list) then return false end
    elseif letter ~= nil and not are_known(letter, list) then
      return false
    end
    for field, cell in pairs_(cells) do
      if not is_cell(cell) or not is_field(field, cell) then return false end
    end
    return true
  end
end
