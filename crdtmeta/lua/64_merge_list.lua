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
    if not E.newest_first(base) then return list end
    local reversed, n = {}, #list
    for i = 1, n do reversed[i] = list[n + 1 - i] end
    return reversed
  end

  -- push does the common case: elements that come before or after all that is there. It answers false, having done nothing,
  -- in any other.
  local function push(S, base, places, values)
    local edge = call('LINDEX', E.places_key(S), base == START and 0 or -1)
    local before
    if edge then
      if base == START then before = E.place_before(places[1], edge) else before = E.place_before(edge, places[1]) end
      if not before then return false end
      before = 1
    else
      before = try('LLEN', S.k)
      if type_(before) == 'table' then return false end
    end
    local how = base == START and 'LPUSH' or 'RPUSH'
    if E.in_parts(try, how, S.k, values) then return false end
    E.push_places(S, how, places, before)
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
      local pk = E.places_key(S)
      local m, run = E.open_places(S, n)
      if run and byte(base, 1) == COLD then
        E.spread(S, m, run)
        m, run = n, nil
      end
      local entry, found = E.find_place(pk, m, places[1], 0)
      -- A call that failed half-way may be applied twice.
      if not found then
        E.insert_at(k, n, E.element_at(run, entry), values)
        E.insert_at(pk, m, entry, places)
      end
    end
    recorded(S, {}, 0)
    return true
  end

  function F.l(list, p)
    local k, base, values = list[p + 1], list[p + 2], list[p + 3]
    local r, S = remote, E.open_collection(k)
    M.touch(k)
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
    local m, run = E.open_places(S, n)
    if n > 0 then E.hash_form(S) end
    local at = E.position(S, m, run, place)
    if not at then return true end
    local field = 'l' .. place
    local raw = call('HGET', S.ck, field)
    local cell = raw and E.decode(raw) or {w = {}}
    local top = E.winner(cell)
    if top and top[4] == false then top[4] = call('LINDEX', k, at) end
    E.reset(cell)
    cell.w[#cell.w + 1] = {r.o, r.t, r.op, v, true}
    if #cell.w > 1 then M.conflict(k, 'list', tostring_(at), cell) end
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

  -- each_place calls f with every place of a removal.
  local function each_place(places, f)
    for i = 1, #places do
      if #places[i] == RUN then
        local first, last = E.cold_range(places[i])
        for at = first, last do f(E.cold(at, at)) end
      else
        f(places[i])
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
    local m, run = E.open_places(S, n)
    local blocks, entry, hits = {}, 0, 0
    local window, start = {}, 0 -- entries read ahead, and where they begin
    local function add(at, count)
      local last = blocks[#blocks]
      if last and last[1] + last[2] == at then last[2] = last[2] + count else blocks[#blocks + 1] = {at, count} end
    end
    local function note(place)
      if entry < start or entry >= start + #window then
        start, window = entry, call('LRANGE', pk, entry, entry + (hits > 8 and 999 or 0))
      end
      local found = window[entry - start + 1] == place
      if found then hits = hits + 1 else
        hits = 0
        entry, found = E.find_place(pk, m, place, entry)
      end
      if found then
        add(E.element_at(run, entry), 1)
        entry = entry + 1
      end
    end
    for i = 1, #places do
      local place = places[i]
      if byte(place, 1) == COLD and run then
        local first, last = E.cold_range(place)
        if first < run.first then first = run.first end
        if last > run.last then last = run.last end
        if first <= last and #place <= RUN then add(run.at + first - run.first, last - first + 1) end
      else
        each_place({place}, note)
      end
    end
    E.cut_elements(S, n, m, run, blocks, true)
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
        each_place(places, function(place)
          local cell = S.cells['l' .. place]
          if cell then cell.w = {} end
        end)
      end)
    end
    return p + 3
  end
end
