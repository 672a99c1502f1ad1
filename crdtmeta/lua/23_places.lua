-- The places of a shown list, in a Redis list beside the user's key: entry by entry in step with the values. Many cold
-- elements in a row are one entry, a run, so that a list from before Anabranch costs nothing until it is changed inside.

do
  local MOST = 32 -- runs of a list; the shortest are spelled out when there are more

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
    S.rec.r = nil
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

  -- find_place answers how many of m entries stand before a place that is in no run, and whether the next entry is that
  -- place. The first low entries are known to stand before. Most places are near the end that they were pushed at.
  function E.find_place(pk, m, place, low)
    local high, step, side = m, 1, byte(place, 1)
    local function before(i)
      local entry = call('LINDEX', pk, i)
      return E.place_before(#entry == RUN and sub(entry, 1, 5) or entry, place)
    end
    if side < COLD then
      while low + step <= high do
        if not before(low + step - 1) then
          high = low + step - 1
          break
        end
        low, step = low + step, step * 2
      end
    elseif side > COLD then
      while high - step >= low do
        if before(high - step) then
          low = high - step + 1
          break
        end
        high, step = high - step, step * 2
      end
    end
    while low < high do
      local middle = floor((low + high) / 2)
      if before(middle) then low = middle + 1 else high = middle end
    end
    return low, low < m and call('LINDEX', pk, low) == place
  end

  -- find_run answers the entry that the run of a bound is, if there is one, and where it is. A single run is at an end of most lists.
  local function find_run(pk, m, bounds, i, low)
    if #bounds == 1 then
      for _, at in pairs_({0, m - 1}) do
        local entry = call('LINDEX', pk, at)
        if #entry == RUN then return at, entry end
      end
    end
    local at = E.find_place(pk, m, E.cold(bounds[i], bounds[i]), low)
    return at, call('LINDEX', pk, at)
  end

  -- open_places answers how many entries the places of a list with n elements have, and its runs in their order: {first,
  -- last, n = elements, at = its entry, p = position of its first element}. The record has a lower bound for the first
  -- of each run, none means 0. Places that do not fit the list, because somebody wrote to it past the engine, are given
  -- up: all elements are cold then.
  function E.open_places(S, n)
    local pk, bounds, runs, hidden = E.places_key(S), S.rec.r or {0}, {}, 0
    local m = call('LLEN', pk)
    if m == n then return m, runs end
    if m > 0 then
      local at = 0
      for i = 1, #bounds do
        local entry
        at, entry = find_run(pk, m, bounds, i, at)
        if entry and #entry == RUN then
          local first, last = E.cold_range(entry)
          -- A run that went leaves its bound behind, after which comes the next one.
          if not bounds[i + 1] or first < bounds[i + 1] then
            runs[#runs + 1] = {first = first, last = last, n = last - first + 1, at = at, p = at + hidden}
            hidden = hidden + last - first
          end
        end
      end
      if m + hidden == n then return m, runs end
      E.drop_places(S)
    end
    if n == 0 then return 0, {} end
    call('RPUSH', pk, E.cold(0, n - 1))
    E.count_companion(1)
    S.rec.b = nil
    if n > 1 then runs = {{first = 0, last = n - 1, n = n, at = 0, p = 0}} else runs = {} end
    return 1, runs
  end

  -- keep_runs notes in the record which runs there are; it is saved by whoever changes the list.
  local function keep_runs(S, runs)
    local bounds = {}
    for i = 1, #runs do
      if runs[i].last > runs[i].first then bounds[#bounds + 1] = runs[i].first end
    end
    S.rec.r = #bounds > 0 and (#bounds > 1 or bounds[1] > 0) and bounds or nil
  end

  -- element_at is the position in the user's list of an entry; a run's is that of its first element.
  function E.element_at(runs, entry)
    local p = entry
    for i = 1, #runs do
      if runs[i].at < entry then p = p + runs[i].n - 1 end
    end
    return p
  end

  -- entry_at is the reverse. p is not inside a run.
  local function entry_at(runs, p)
    local entry = p
    for i = 1, #runs do
      if runs[i].p < p then entry = entry - runs[i].n + 1 end
    end
    return entry
  end

  -- run_of_cold finds the run that a cold element is in.
  function E.run_of_cold(runs, cold)
    for i = 1, #runs do
      if cold >= runs[i].first and cold <= runs[i].last then return runs[i] end
    end
  end

  -- seek answers the position in the user's list at which a place stands or belongs, and whether it is there.
  function E.seek(S, m, runs, place)
    if byte(place, 1) == COLD then
      local cold = E.cold_range(place)
      local run = E.run_of_cold(runs, cold)
      if run then
        -- At the outer sides of a run others may hang on the same element, inside none can.
        local root = E.cold(cold, cold)
        local at = run.p + cold - run.first
        if root == place then return at, true end
        if E.place_before(root, place) then at = at + 1 end
        if at > run.p and at < run.p + run.n then return at, false end
      end
    end
    local entry, found = E.find_place(E.places_key(S), m, place, 0)
    return E.element_at(runs, entry), found
  end

  -- parts goes through the elements from position p up to, not including, past: it calls plain(entry, count) for elements with
  -- entries of their own and inside(run, from, past) for those in a run, as positions.
  local function parts(runs, p, past, plain, inside)
    for i = 1, #runs do
      local run = runs[i]
      local over = run.p + run.n
      if p < past and over > p then
        if run.p > p then
          local to = run.p < past and run.p or past
          plain(entry_at(runs, p), to - p)
          p = to
        end
        if p < past then
          local to = over < past and over or past
          inside(run, p, to)
          p = to
        end
      end
    end
    if p < past then plain(entry_at(runs, p), past - p) end
  end

  local function append(out, list)
    local n = #out
    for i = 1, #list do out[n + i] = list[i] end
  end

  -- places_of appends the places of n elements from position p on to a list, those in a run as one entry.
  function E.places_of(S, runs, p, n, out)
    local pk = E.places_key(S)
    parts(runs, p, p + n, function(entry, count)
      append(out, call('LRANGE', pk, entry, entry + count - 1))
    end, function(run, from, past)
      out[#out + 1] = E.cold(run.first + from - run.p, run.first + past - 1 - run.p)
    end)
    return out
  end

  -- choose_runs marks which of many pieces {first, last} of cold elements are runs: the longest.
  local function choose_runs(pieces)
    local sizes = {}
    for i = 1, #pieces do
      local size = pieces[i].last - pieces[i].first
      if size > 0 then sizes[#sizes + 1] = size end
    end
    sort(sizes)
    local least = #sizes > MOST and sizes[#sizes - MOST + 1] or 1
    local equal = MOST
    for i = 1, #sizes do
      if sizes[i] > least then equal = equal - 1 end
    end
    for i = 1, #pieces do
      local size = pieces[i].last - pieces[i].first
      if size == least and equal > 0 then
        equal = equal - 1
        pieces[i].run = true
      else
        pieces[i].run = size > least
      end
    end
  end

  -- spell appends the entries of pieces of cold elements.
  local function spell(pieces, out)
    for i = 1, #pieces do
      local piece = pieces[i]
      if piece.run then
        out[#out + 1] = E.cold(piece.first, piece.last)
      else
        for at = piece.first, piece.last do out[#out + 1] = E.cold(at, at) end
      end
    end
    return out
  end

  -- replace_run puts other entries in the place of a run's.
  local function replace_run(pk, m, run, entries)
    call('LSET', pk, run.at, entries[1])
    if #entries > 1 then E.insert_at(pk, m, run.at + 1, E.slice(entries, 2, #entries)) end
  end

  -- limit_runs spells out the shortest run of a list of n elements that has too many.
  local function limit_runs(S, n)
    while S.rec.r and #S.rec.r > MOST do
      local m, runs = E.open_places(S, n)
      if not S.rec.r then return end
      local shortest = runs[1]
      for i = 2, #runs do
        if runs[i].n < shortest.n then shortest = runs[i] end
      end
      replace_run(E.places_key(S), m, shortest, spell({shortest}, {}))
      shortest.last = shortest.first
      keep_runs(S, runs)
    end
  end

  -- add_places adds places before the element at position p of a list that had n elements; a run that this is inside of is
  -- parted.
  function E.add_places(S, n, m, runs, p, places)
    local pk = E.places_key(S)
    for i = 1, #runs do
      local run = runs[i]
      if run.p < p and p < run.p + run.n then
        local right = {first = run.first + p - run.p, last = run.last}
        local entries = {E.cold(run.first, right.first - 1)}
        append(entries, places)
        entries[#entries + 1] = E.cold(right.first, right.last)
        replace_run(pk, m, run, entries)
        run.last = right.first - 1
        table.insert(runs, i + 1, right)
        keep_runs(S, runs)
        limit_runs(S, n + #places)
        return
      end
    end
    E.insert_at(pk, m, entry_at(runs, p), places)
    -- What hangs on the first element of a run must stay below the run's bound.
    if byte(places[1], 1) == COLD then keep_runs(S, runs) end
  end

  -- cut_elements removes blocks of elements {position, count}, in ascending order, from the places of a list that has n of
  -- them, and with both from the user's list too.
  function E.cut_elements(S, n, m, runs, blocks, both)
    local pk, entries, total = E.places_key(S), {}, 0
    for i = 1, #blocks do
      total = total + blocks[i][2]
      parts(runs, blocks[i][1], blocks[i][1] + blocks[i][2], function(entry, count)
        entries[#entries + 1] = {entry, count}
      end, function(run, from, past)
        -- pieces are what the blocks leave of the run; the last one may be cut again.
        local pieces = run.pieces or {{first = run.first, last = run.last}}
        run.pieces = pieces
        local last = pieces[#pieces]
        local first = run.first + past - run.p
        pieces[#pieces + 1] = {first = first, last = last.last}
        last.last = run.first + from - run.p - 1
      end)
    end
    local left, kept = {}, {}
    for i = 1, #runs do
      local pieces = {}
      for _, piece in pairs_(runs[i].pieces or {runs[i]}) do
        if piece.first <= piece.last then pieces[#pieces + 1] = piece end
      end
      runs[i].pieces = pieces
      append(left, pieces)
    end
    choose_runs(left)
    for i = 1, #left do
      if left[i].run then kept[#kept + 1] = left[i] end
    end
    keep_runs(S, kept)
    for i = #runs, 1, -1 do
      local run = runs[i]
      local rest = spell(run.pieces, {})
      if #rest == 0 then
        entries[#entries + 1] = {run.at, 1}
      elseif run.pieces[1] ~= run or not run.run then
        replace_run(pk, m, run, rest)
        m = m + #rest - 1
        for j = 1, #entries do
          if entries[j][1] > run.at then entries[j][1] = entries[j][1] + #rest - 1 end
        end
      end
    end
    sort(entries, function(a, b) return a[1] < b[1] end)
    E.cut_blocks(pk, m, entries)
    if total == n then E.count_companion(-1) end
    if both then E.cut_blocks(S.k, n, blocks) end
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
    local cells, n, stem = S.cells, 0, nil
    local o, at, nth
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
        -- Elements of one effect differ in their last byte, most of them.
        if sub(entry, 1, -2) ~= stem then
          stem = sub(entry, 1, -2)
          o, at, nth = E.made(entry)
        end
        lift(entry, o, at, nth)
      end
    end
  end

  -- known_list is a list of which every region knows all elements: its values and its entries. For any other key it answers nil.
  function E.known_list(S)
    if E.native_type(S.k) ~= 'l' then return nil end
    for field in pairs_(E.load_cells(S)) do
      if byte(field, 1) == 108 then return nil end
    end
    local values, entries = call('LRANGE', S.k, 0, -1), call('LRANGE', E.places_key(S), 0, -1)
    if #entries == 0 then entries[1] = E.cold(0, #values - 1) end
    if not E.spelt(entries, #values) then return nil end
    if not S.form then E.adopt(S) end
    return {letter = 'l', list = values, entries = entries}
  end

  -- spelt gives the places that entries stand for, or nil unless they are count places of elements from before, in order.
  function E.spelt(entries, count)
    local places, n, top = {}, 0, -1
    for i = 1, #entries do
      local entry = entries[i]
      if byte(entry, 1) ~= COLD or (#entry ~= 5 and #entry ~= RUN) then return nil end
      local first, last = E.cold_range(entry)
      if first <= top or last < first or n + last - first + 1 > count then return nil end
      for at = first, last do
        n = n + 1
        places[n] = E.cold(at, at)
      end
      top = last
    end
    return n == count and places or nil
  end

  -- show_list builds the user's list and its places from lifted cells, or from a list that every region knows.
  function E.show_list(S)
    local places, values = {}, {}
    if S.rest then
      places, values = S.rest.places, S.rest.new
    else
      for field, cell in pairs_(S.cells) do
        if byte(field, 1) == 108 and E.live(cell) then places[#places + 1] = sub(field, 2) end
      end
      places = E.in_order(places)
      for i = 1, #places do
        local top = E.winner(S.cells['l' .. places[i]])
        values[i], top[4] = top[4], false
      end
    end
    -- Cold elements in a row become runs again.
    local pieces, piece = {}, nil
    for i = 1, #places do
      local cold = #places[i] == 5 and E.cold_range(places[i])
      if not cold then
        piece = nil
      elseif piece and piece.last + 1 == cold then
        piece.last = cold
      else
        piece = {first = cold, last = cold, from = i}
        pieces[#pieces + 1] = piece
      end
    end
    choose_runs(pieces)
    local entries, runs, i = {}, {}, 1
    for _, each in pairs_(pieces) do
      append(entries, E.slice(places, i, each.from - 1))
      spell({each}, entries)
      if each.run then runs[#runs + 1] = each end
      i = each.from + each.last - each.first + 1
    end
    append(entries, E.slice(places, i, #places))
    keep_runs(S, runs)
    E.in_parts(call, 'RPUSH', S.k, values)
    E.in_parts(call, 'RPUSH', E.places_key(S), entries)
    E.count_companion(1)
  end
end
