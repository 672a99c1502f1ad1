-- The places of a shown list, in a Redis list beside the user's key: entry by entry in step with the values. Many cold
-- elements in a row are one entry, a run, as long as nothing but pushed elements stands before and after them.

do
  local NEAR = 500 -- so many elements are taken off an end and put back before anything cleverer pays

  -- places_key names the list of places of a key: as the companion, with another digit.
  function E.places_key(S)
    local name = S.pk
    if not name then
      local p = #PREFIX + 1
      name = PREFIX .. char(byte(S.ck, p) + 3) .. sub(S.ck, p + 1)
      S.pk = name
    end
    return name
  end

  function E.drop_places(S)
    if call('UNLINK', E.places_key(S)) == 1 then E.count_companion(-1) end
  end

  -- push_places adds places at one end (how is 'LPUSH' or 'RPUSH') of a list that had so many elements before.
  function E.push_places(S, how, places, before)
    local pk = E.places_key(S)
    if before > 0 then
      local _, grown = E.in_parts(call, how .. 'X', pk, places)
      if grown > 0 then return end
      call('RPUSH', pk, E.cold(0, before - 1))
    elseif S.form == 'h' then
      E.drop_places(S)
    end
    E.count_companion(1)
    E.in_parts(call, how, pk, places)
  end

  -- first_not_before is a binary search: the first entry from low on, below high, that is not before what is sought.
  local function first_not_before(pk, low, high, before)
    while low < high do
      local middle = floor((low + high) / 2)
      if before(call('LINDEX', pk, middle)) then low = middle + 1 else high = middle end
    end
    return low
  end

  local function pushed_first(entry) return byte(entry, 1) < COLD end

  -- open_places answers how many entries the places of a list with n elements have, and where its run is:
  -- {at = its entry, first, last, n = elements}. Places that do not fit the list, because somebody wrote to it past the
  -- engine, are given up: all elements are cold then.
  function E.open_places(S, n)
    local pk = E.places_key(S)
    local m = call('LLEN', pk)
    if m == n then return m end
    if m > 0 and m < n then
      local at = first_not_before(pk, 0, m, pushed_first)
      local entry = call('LINDEX', pk, at)
      if entry and #entry == RUN then
        local first, last = E.cold_range(entry)
        if last - first == n - m then return m, {at = at, first = first, last = last, n = n - m + 1} end
      end
    end
    if m > 0 then E.drop_places(S) end
    if n == 0 then return 0 end
    call('RPUSH', pk, E.cold(0, n - 1))
    E.count_companion(1)
    S.rec.b = nil
    if n > 1 then return 1, {at = 0, first = 0, last = n - 1, n = n} end
    return 1
  end

  -- find answers how many of m entries stand before a place, and whether the next entry is that place. The first low
  -- entries are known to stand before. Most places are near the end that they were pushed at.
  function E.find_place(pk, m, place, low)
    local high, step, side = m, 1, byte(place, 1)
    local function before(entry) return E.place_before(entry, place) end
    if side < COLD then
      while low + step <= high do
        if not before(call('LINDEX', pk, low + step - 1)) then
          high = low + step - 1
          break
        end
        low, step = low + step, step * 2
      end
    elseif side > COLD then
      while high - step >= low do
        if before(call('LINDEX', pk, high - step)) then
          low = high - step + 1
          break
        end
        high, step = high - step, step * 2
      end
    end
    low = first_not_before(pk, low, high, before)
    return low, low < m and call('LINDEX', pk, low) == place
  end

  -- element_at is the position in the user's list of an entry that is not the run.
  local function element_at(run, entry)
    return run and entry > run.at and entry + run.n - 1 or entry
  end
  E.element_at = element_at

  -- position finds the element of a place in the user's list, or answers nil.
  function E.position(S, m, run, place)
    if run and byte(place, 1) == COLD then
      local first = E.cold_range(place)
      if #place > RUN or first < run.first or first > run.last then return nil end
      return run.at + first - run.first
    end
    local entry, found = E.find_place(E.places_key(S), m, place, 0)
    return found and element_at(run, entry) or nil
  end

  local function append(out, list)
    local n = #out
    for i = 1, #list do out[n + i] = list[i] end
  end

  -- places_of appends the places of n elements from position p on to a list, those in the run as one entry.
  function E.places_of(S, run, p, n, out)
    local pk = E.places_key(S)
    if not run then
      append(out, call('LRANGE', pk, p, p + n - 1))
      return out
    end
    local past, from, to = run.at + run.n, p, p + n
    if from < run.at then append(out, call('LRANGE', pk, from, (to < run.at and to or run.at) - 1)) end
    local x, y = from > run.at and from or run.at, to < past and to or past
    if x < y then out[#out + 1] = E.cold(run.first + x - run.at, run.first + y - 1 - run.at) end
    if to > past then append(out, call('LRANGE', pk, (from > past and from or past) - run.n + 1, to - run.n)) end
    return out
  end

  -- push_reversed adds a list before the head.
  local function push_reversed(k, list)
    local reversed, n = {}, #list
    for i = 1, n do reversed[i] = list[n + 1 - i] end
    E.in_parts(call, 'LPUSH', k, reversed)
  end

  -- splice replaces the c elements from position p on of a list of n, by taking off and putting back the shorter side.
  local function splice(k, n, p, c, list)
    local tail = n - p - c
    if p <= tail then
      local side = p > 0 and call('LRANGE', k, 0, p - 1) or {}
      if p + c > 0 then call('LTRIM', k, p + c, -1) end
      push_reversed(k, list)
      push_reversed(k, side)
    else
      local side = tail > 0 and call('LRANGE', k, p + c, -1) or {}
      if tail + c > 0 then call('LTRIM', k, 0, p - 1) end
      E.in_parts(call, 'RPUSH', k, list)
      E.in_parts(call, 'RPUSH', k, side)
    end
  end

  -- hole is a value that no list has.
  local function hole()
    return PREFIX .. 'hole:' .. origin .. ':' .. format('%.0f', t)
  end

  -- insert_at puts a list into a list of n elements, before position p. Redis cannot, so either the shorter side is taken
  -- off and put back, or the element at p is away for a moment.
  function E.insert_at(k, n, p, list)
    local side = p < n - p and p or n - p
    if side <= NEAR or side * 80 < #list * p then
      splice(k, n, p, 0, list)
      return
    end
    local old, mark = call('LINDEX', k, p), hole()
    call('LSET', k, p, mark)
    for i = 1, #list do call('LINSERT', k, 'BEFORE', mark, list[i]) end
    call('LSET', k, p + #list, old)
  end

  -- cut removes blocks {position, count}, in ascending order, from a list of n elements.
  local function cut(k, n, blocks)
    local list, total = {}, 0
    for i = 1, #blocks do
      local b, last = blocks[i], list[#list]
      total = total + b[2]
      if last and last[1] + last[2] == b[1] then
        last[2] = last[2] + b[2]
      else
        list[#list + 1] = {b[1], b[2]}
      end
    end
    if total == 0 then return end
    if total == n then
      call('UNLINK', k)
      return
    end
    local last, first, gone = list[#list], list[1], 0
    if last[1] + last[2] == n then
      call('LTRIM', k, 0, last[1] - 1)
      n, total, list[#list] = last[1], total - last[2], nil
    end
    if #list > 0 and first[1] == 0 then
      call('LTRIM', k, first[2], -1)
      gone = first[2]
      n, total = n - gone, total - gone
    end
    if total == 0 then return end
    local from = gone > 0 and 2 or 1
    local low, high = list[from][1] - gone, list[#list][1] + list[#list][2] - gone
    local side = low < n - high and low or n - high
    if from == #list and (side <= NEAR or side < 2 * total) then
      splice(k, n, low, total, {})
      return
    end
    local mark = hole()
    for i = from, #list do
      for p = list[i][1] - gone, list[i][1] - gone + list[i][2] - 1 do call('LSET', k, p, mark) end
    end
    call('LREM', k, low <= n - high and total or 0 - total, mark)
  end

  -- spread turns the run into one entry for each of its elements.
  function E.spread(S, m, run)
    local list = {}
    for i = run.first, run.last do list[#list + 1] = E.cold(i, i) end
    splice(E.places_key(S), m, run.at, 1, list)
  end

  -- cut_elements removes blocks of elements {position, count}, in ascending order, from the places of a list that has n of
  -- them, and with both from the user's list too.
  function E.cut_elements(S, n, m, run, blocks, both)
    local pk, entries = E.places_key(S), blocks
    local total = 0
    for i = 1, #blocks do total = total + blocks[i][2] end
    if run then
      local past, inside, x, y = run.at + run.n, 0, nil, nil
      entries = {}
      for i = 1, #blocks do
        local from, to = blocks[i][1], blocks[i][1] + blocks[i][2]
        if from < run.at then entries[#entries + 1] = {from, (to < run.at and to or run.at) - from} end
        local a, b = from > run.at and from or run.at, to < past and to or past
        if a < b then
          inside, x, y = inside + 1, a, b
          if b - a == run.n then entries[#entries + 1] = {run.at, 1} end
        end
        if to > past then
          local after = from > past and from or past
          entries[#entries + 1] = {after - run.n + 1, to - after}
        end
      end
      if inside > 1 or (inside == 1 and x > run.at and y < past) then
        E.spread(S, m, run)
        m, entries = n, blocks
      elseif inside == 1 and y - x < run.n then
        if x == run.at then run.first = run.first + y - x else run.last = run.last - (y - x) end
        call('LSET', pk, run.at, E.cold(run.first, run.last))
      end
    end
    cut(pk, m, entries)
    if total == n then E.count_companion(-1) end
    if both then cut(S.k, n, blocks) end
  end

  -- drop_set forgets which of these elements LSET has changed.
  function E.drop_set(S, places)
    if S.form ~= 'h' then return end
    local fields, ranges = {}, nil
    for i = 1, #places do
      if #places[i] == RUN then ranges = true else fields[#fields + 1] = 'l' .. places[i] end
    end
    if ranges then
      local cold = {}
      for _, field in pairs_(call('HKEYS', S.ck)) do
        if #field == 6 and sub(field, 1, 2) == 'l`' then cold[field] = E.cold_range(sub(field, 2)) end
      end
      for i = 1, #places do
        if #places[i] == RUN then
          local first, last = E.cold_range(places[i])
          for field, at in pairs_(cold) do
            if at >= first and at <= last then fields[#fields + 1] = field end
          end
        end
      end
    end
    E.in_parts(call, 'HDEL', S.ck, fields)
  end

  -- lift_list gives every element of a shown list a cell with its value; without values, because the user's key is gone
  -- behind our back, the cells are hollow. Without keep, cold elements get none.
  function E.lift_list(S, keep, values)
    local entries = call('LRANGE', E.places_key(S), 0, -1)
    if #entries == 0 and values then entries[1] = E.cold(0, #values - 1) end
    local cells, n = S.cells, 0
    local function lift(place, o, at, nth)
      n = n + 1
      local field = 'l' .. place
      local cell, v = cells[field], values and values[n] or false
      local top = cell and E.winner(cell)
      if top then
        if top[4] == false then top[4] = v end
      elseif keep or o ~= '' then
        cells[field] = {w = {{o, at, nth, v, true}}}
      end
    end
    for i = 1, #entries do
      local entry = entries[i]
      if #entry == RUN then
        local first, last = E.cold_range(entry)
        for at = first, last do lift(E.cold(at, at), '', 0, 0) end
      else
        lift(entry, E.made(entry))
      end
    end
  end

  -- show_list builds the user's list and its places from lifted cells.
  function E.show_list(S)
    local places, values = {}, {}
    for field, cell in pairs_(S.cells) do
      if byte(field, 1) == 108 and E.live(cell) then places[#places + 1] = sub(field, 2) end
    end
    places = E.in_order(places)
    -- Cold elements in a row, with none but pushed ones around them, become a run again.
    local first, last, whole = nil, nil, true
    for i = 1, #places do
      local top = E.winner(S.cells['l' .. places[i]])
      values[i], top[4] = top[4], false
      if byte(places[i], 1) == COLD then
        whole = whole and #places[i] < RUN and (not last or E.cold_range(places[i]) == E.cold_range(places[last]) + 1)
        first, last = first or i, i
      end
    end
    if first and whole and first < last then
      local run = E.cold((E.cold_range(places[first])), (E.cold_range(places[last])))
      local rest = E.slice(places, last + 1, #places)
      places = E.slice(places, 1, first - 1)
      places[first] = run
      append(places, rest)
    end
    E.in_parts(call, 'RPUSH', S.k, values)
    E.in_parts(call, 'RPUSH', E.places_key(S), places)
    E.count_companion(1)
  end
end
