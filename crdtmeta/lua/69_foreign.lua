-- What comes from another region is looked at here before any of it changes anything. A region is trusted with data: it may write
-- and remove whatever it likes of users' keys. It is not trusted with names of Anabranch's own keys, nor with metadata that no
-- engine makes, on which later calls would fail again and again.

do

  -- reserved says whether a name is one of Anabranch's own keys, or none at all.
  function E.reserved(k)
    local kind = type_(k)
    if kind == 'number' then k, kind = tostring_(k), 'string' end
    return kind ~= 'string' or sub(k, 1, #PREFIX) == PREFIX
  end

  local function is_key(k) return not E.reserved(k) end

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

  local function are_texts(list) return is_list(list, is_text) end

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

  local function is_vector(map)
    if type_(map) ~= 'table' then return false end
    for o, at in pairs_(map) do
      if not is_origin(o) or not is_time(at) then return false end
    end
    return true
  end

  local function is_database(d)
    if not is_time(d) or d >= 2147483648 then return false end
    local refused = try('SELECT', format('%.0f', d)).err
    call('SELECT', db)
    return not refused
  end

  -- A base of places is an end of the list, or a place and a side of it.
  local function is_base(base)
    if base == START or base == END then return true end
    local side = type_(base) == 'string' and sub(base, -1)
    return (side == '@' or side == '\128') and E.is_place(sub(base, 1, -2))
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

  local function one_of(set)
    return function(v) return set[v] == true end
  end

  local function of_key(v) return are_offsets(v, 7) end
  local function of_keys(v) return are_offsets(v, 8) end

  local CHECKS = {
    S = {is_key, is_text}, M = {is_time}, W = {is_key, is_text, of_key},
    a = {one_of{s = true, h = true, z = true, x = true}, is_key, is_number, are_texts},
    A = {one_of{s = true, h = true, z = true}, is_key, is_number, are_texts, of_key},
    r = {one_of{s = true, h = true, z = true, x = true}, is_key, are_texts, of_key},
    i = {one_of{k = true, h = true, z = true}, is_key, is_text, is_time, is_time, is_amount, is_number},
    R = {is_key, of_key}, E = {is_key, is_number}, O = {is_key, is_string},
    V = {is_key, of_key},
    F = {function(d) return d == -1 or is_database(d) end, of_keys}, D = {is_database},
    l = {is_key, is_base, are_texts}, d = {is_key, function(v) return is_list(v, is_string) end}, L = {is_key, is_string, is_text},
    g = {is_key, one_of{c = true, d = true, D = true, k = true, s = true}, is_text, is_text}, p = {is_key, is_string}, C = {is_key, is_vector},
  }

  -- proper says whether the effect at list[p], of a known kind, is one that an engine makes.
  function E.proper(list, p)
    local checks = CHECKS[list[p]]
    for i = 1, #checks do
      if not checks[i](list[p + i]) then return false end
    end
    return true
  end

  -- States of merges.

  local function is_stamp(o, at, n) return (o == '' or is_origin(o)) and is_time(at) and is_time(n) end
  local function is_stamped(w) return type_(w) == 'table' and is_stamp(w[1], w[2], w[3]) end
  local function is_write(w) return is_stamped(w) and (w[4] == false or is_text(w[4])) end
  local function is_candidate(c) return is_stamped(c) and is_number(c[4]) end
  local function is_creation(c) return is_stamped(c) and is_string(c[4]) end

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
      and (cell.g == nil or is_list(cell.g, is_creation)) and cell.l == nil and cell.m == nil
  end

  local LETTERS = {h = true, l = true, o = true, s = true, x = true, z = true}

  local function is_field(field, cell)
    if field == 'p' then return cell.e ~= nil and cell.j ~= nil end
    if type_(field) ~= 'string' or cell.e or cell.j then return false end
    local letter = sub(field, 1, 1)
    return LETTERS[letter] and (letter ~= 'l' or E.is_place(sub(field, 2)))
  end

  -- proper_state says whether the state of a key is one that an engine gives.
  function E.proper_state(rec, cells, last_id)
    if type_(rec) == 'string' then
      local good, kind, o, at, n = ppcall(munpack, rec)
      return good and kind == 1 and is_stamp(o, at, n) and is_string(cells)
    end
    if not is_cell(rec) or rec.e or rec.j or type_(cells) ~= 'table' then return false end
    if (rec.T and not is_list(rec.T, is_candidate)) or (rec.v and not is_vector(rec.v)) or not is_string(last_id or '') then return false end
    for field, cell in pairs_(cells) do
      if not is_cell(cell) or not is_field(field, cell) then return false end
    end
    return true
  end
end
