-- Remote effects on lists. An element lives as long as no removal has seen the effect that made it; what LSET writes is
-- a write to an element that lives.

do
  local F, M = E.effects, E.merge

  -- recorded stores what an effect left of a list.
  local function recorded(S, cells, n)
    S.rec.b = nil
    E.put(S, cells, n, remote.o, remote.t)
    if S.rec.T then E.native_ttl(S) end
  end

  local function in_list_order(base, list)
    return E.newest_first(base) and E.reversed(list) or list
  end

  -- push does the common case: elements that come before or after all that is there. It answers false, having done nothing,
  -- in any other.
  local function push(S, base, places, values)
    local n = try('LLEN', S.k)
    if type_(n) == 'table' then return false end
    -- What was pushed past the engine has no place, and would take the next one's; what was removed has left places behind.
    if E.open_places(S, n) > 0 then
      local edge, first = call('LINDEX', E.places_key(S), base == START and 0 or -1), places[1]
      if not E.place_before(base == START and first or edge, base == START and edge or first) then return false end
    end
    local how = base == START and 'LPUSH' or 'RPUSH'
    if E.in_parts(try, how, S.k, values) then return false end
    E.push_places(S, how, places, n)
    recorded(S, {}, 0)
    return true
  end

  -- insert puts elements where they belong. It answers false when the key shows another type.
  local function insert(S, base, places, values)
    local k, n = S.k, try('LLEN', S.k)
    if type_(n) == 'table' then return false end
    places, values = in_list_order(base, places), in_list_order(base, values)
    if n == 0 then
      E.in_parts(call, 'RPUSH', k, values)
      E.push_places(S, 'RPUSH', places, 0)
    else
      local m, runs = E.open_places(S, n)
      local at, found = E.seek(S, m, runs, places[1])
      -- A call that failed half-way may be applied twice.
      if not found then
        E.insert_at(k, n, at, values)
        E.add_places(S, n, m, runs, at, places)
      end
    end
    recorded(S, {}, 0)
    return true
  end

  function F.l(list, p)
    local k, base, values = list[p + 1], list[p + 2], list[p + 3]
    local r, S = remote, E.open_collection(k)
    M.touch(k)
    if S.rec.x then M.over_removal(S, 'l') end
    local places = E.places(base, r.o, r.t, r.op, #values)
    local done
    if M.simple(S) then
      done = (base == START or base == END) and push(S, base, places, values) or insert(S, base, places, values)
    end
    if not done then
      S.cells = nil
      M.full(S, true, function()
        M.forget_others(S, 'l')
        for i = 1, #places do S.cells['l' .. places[i]] = {w = {{r.o, r.t, r.op, values[i], true}}} end
      end)
    end
    return p + 4
  end

  -- set_element answers false when the key shows another type.
  local function set_element(S, place, v)
    local k, r, n = S.k, remote, try('LLEN', S.k)
    if type_(n) == 'table' then return false end
    local m, runs = E.open_places(S, n)
    if n > 0 then E.hash_form(S) end
    local at, found = E.seek(S, m, runs, place)
    if not found then return true end
    local field = 'l' .. place
    local cell = E.stored_cell(S, field) or {w = {}}
    local top = E.winner(cell)
    if top and top[4] == false then top[4] = call('LINDEX', k, at) end
    E.reset(cell)
    cell.w[#cell.w + 1] = {r.o, r.t, r.op, v, true}
    if #cell.w > 1 then M.conflict(k, 'l', tostring_(at), cell) end
    local shown = E.winner(cell)
    if shown ~= top then call('LSET', k, at, shown[4]) end
    shown[4] = false
    recorded(S, {field, E.encode(cell)}, 2)
    return true
  end

  function F.L(list, p)
    local k, place, v = list[p + 1], list[p + 2], list[p + 3]
    local r, S = remote, E.open_collection(k)
    M.touch(k)
    if not (M.simple(S) and set_element(S, place, v)) then
      S.cells = nil
      M.full(S, true, function()
        M.forget_others(S, 'l')
        local cell = S.cells['l' .. place]
        if cell and #cell.w > 0 then
          E.reset(cell)
          cell.w[#cell.w + 1] = {r.o, r.t, r.op, v, true}
        end
      end)
    end
    return p + 4
  end

  -- empty_cells takes the writes out of all cells of a lifted list that a removal names. It looks at runs cell by cell: how long
  -- one is says nothing about how much of it there is.
  local function empty_cells(cells, places)
    local runs = {}
    for i = 1, #places do
      local cell = cells['l' .. places[i]]
      if cell then cell.w = {} end
      if #places[i] == RUN and byte(places[i], 1) == COLD then runs[#runs + 1] = {E.cold_range(places[i])} end
    end
    if #runs == 0 then return end
    for field, cell in pairs_(cells) do
      if #field == 6 and byte(field, 1) == 108 and byte(field, 2) == COLD then
        local at = E.cold_range(sub(field, 2))
        for i = 1, #runs do
          if at >= runs[i][1] and at <= runs[i][2] then cell.w = {} end
        end
      end
    end
  end

  -- pop does the common case, the removal of one element at an end. It answers whether it was that.
  local function pop(S, place)
    local pk, side = E.places_key(S), nil
    if call('LINDEX', pk, 0) == place then side = 'LPOP' elseif call('LINDEX', pk, -1) == place then side = 'RPOP' end
    if not side or type_(try(side, S.k)) ~= 'string' then return false end
    call(side, pk)
    if call('EXISTS', pk) == 0 then E.count_companion(-1) end
    return true
  end

  -- take_out removes elements wherever they are. It answers false when the key shows another type.
  local function take_out(S, places)
    local k, n = S.k, try('LLEN', S.k)
    if type_(n) == 'table' then return false end
    if n == 0 then return true end
    local pk = E.places_key(S)
    local m, runs = E.open_places(S, n)
    local blocks, entry, hits = {}, 0, 0
    local window, start = {}, 0 -- entries read ahead, and where they begin
    local function read(i)
      if i < start or i >= start + #window then
        start, window = i, call('LRANGE', pk, i, i + (hits > 8 and 999 or 0))
      end
      return window[i - start + 1]
    end
    for i = 1, #places do
      local place = places[i]
      local first, last = 0, -1
      if byte(place, 1) == COLD and #place <= RUN then first, last = E.cold_range(place) end
      for j = 1, #runs do
        local run = runs[j]
        local from, to = first > run.first and first or run.first, last < run.last and last or run.last
        if from <= to then E.add_block(blocks, run.p + from - run.first, to - from + 1) end
      end
      if last > first then
        -- Those of the range that have entries of their own.
        entry = E.find_place(pk, m, E.cold(first, first), entry)
        local i = entry
        local own = read(i)
        while own and byte(own, 1) == COLD and E.cold_range(own) <= last do
          if #own < RUN then E.add_block(blocks, E.element_at(runs, i), 1) end
          i, hits = i + 1, hits + 1
          own = read(i)
        end
      elseif first > last or not E.run_of_cold(runs, first) then
        local found = read(entry) == place
        if found then hits = hits + 1 else
          hits = 0
          entry, found = E.find_place(pk, m, place, entry)
        end
        if found then
          E.add_block(blocks, E.element_at(runs, entry), 1)
          entry = entry + 1
        end
      end
    end
    sort(blocks, function(a, b) return a[1] < b[1] end)
    E.cut_elements(S, n, m, runs, blocks, true)
    if S.form ~= 'h' and call('EXISTS', pk) == 1 then E.hash_form(S) end
    return true
  end

  function F.d(list, p)
    local k, places = list[p + 1], list[p + 2]
    local S = E.open_collection(k)
    M.touch(k)
    if M.simple(S) and ((#places == 1 and #places[1] ~= RUN and pop(S, places[1])) or take_out(S, places)) then
      E.drop_set(S, places)
      S.rec.b = nil
      if S.form or S.adopted then E.save(S) end
    else
      S.cells = nil
      M.full(S, true, function()
        M.forget_others(S, 'l')
        empty_cells(S.cells, places)
      end)
    end
    return p + 3
  end
end
