-- Keys: a user's key together with its companion. A state S is {k = key, ck = companion's name, form = nil, 's' (Redis
-- string) or 'h' (Redis hash), raw = stored record, rec = decoded record}; cells, where the whole companion is loaded.

do
  local LETTER = {string = 'k', set = 's', hash = 'h', zset = 'z', list = 'l', stream = 'x'}

  -- native_type gives the letter of what the user's key holds, or nil.
  function E.native_type(k)
    return LETTER[call('TYPE', k).ok]
  end

  -- record decodes what a companion says of its key as a whole.
  function E.record(k, raw)
    local rec = E.decode(raw)
    if rec.v then E.lead(k, rec) end
    return rec
  end

  function E.open(k)
    local ck = E.companion(k)
    local raw = try('GET', ck)
    if raw == false then return {k = k, ck = ck, rec = {w = {}}} end
    if type_(raw) == 'table' then
      raw = call('HGET', ck, '')
      return {k = k, ck = ck, form = 'h', raw = raw, rec = E.record(k, raw)}
    end
    return {k = k, ck = ck, form = 's', raw = raw, rec = E.record(k, raw)}
  end

  -- stored_cell reads one cell of an open key whose cells are not loaded, or answers nil.
  function E.stored_cell(S, field)
    local raw = S.form == 'h' and call('HGET', S.ck, field)
    return raw and E.decode(raw) or nil
  end

  -- save writes the record back when it changed.
  function E.save(S)
    local enc = E.encode(S.rec)
    if S.form == 'h' then
      if enc ~= S.raw then call('HSET', S.ck, '', enc) end
    elseif enc ~= S.raw then
      if not S.form then
        E.count_companion(1)
        S.form = 's'
      end
      call('SET', S.ck, enc)
    end
    S.raw = enc
    if S.adopted then E.note_ttl(S) end
  end

  -- hash_form makes the companion a Redis hash, so that it can hold cells.
  function E.hash_form(S)
    if S.form == 'h' then return end
    if S.form then call('DEL', S.ck) else E.count_companion(1) end
    S.form, S.raw = 'h', nil
    E.save(S)
  end

  -- longer is the order of TTL candidates: none at all, then the longest, then the newest.
  function E.longer(a, b)
    if (a[4] == 0) ~= (b[4] == 0) then return a[4] == 0 end
    if a[4] ~= b[4] then return a[4] > b[4] end
    return E.after(a, b)
  end

  -- longest is the candidate that wins.
  function E.longest(list)
    local best = list[1]
    for i = 2, #list do
      if E.longer(list[i], best) then best = list[i] end
    end
    return best
  end

  -- deadline gives the winning TTL of a record: a time in ms and its owner, 0 for "no TTL", nil when nothing was said.
  function E.deadline(rec)
    for i = 1, #rec.w do
      if rec.w[i][5] then return 0 end
    end
    local best = rec.T and E.longest(rec.T)
    if not best then return nil end
    if best[4] == 0 then return 0 end
    return best[4], best[1]
  end

  -- passed says that a key's deadline has passed: it shows nothing, until its owner removes it or another TTL wins.
  function E.passed(rec)
    local at = E.deadline(rec)
    return at and at > 0 and at <= now
  end

  -- A TTL from before Anabranch has no owner: every region says when it has passed.
  function E.our_region(o)
    if o == '' then return true end
    local a, b = find(origin, '.', 1, true), find(o, '.', 1, true)
    return sub(origin, 1, a) == sub(o, 1, b)
  end

  function E.epoch_number(o) return tonumber_(match(o, '^%d+%.%d+%.(%d+)')) end

  -- note_ttl keeps the list of due times: the owner's at the deadline, another region's a minute later.
  function E.note_ttl(S)
    local at, owner = E.deadline(S.rec)
    local name = db .. ':' .. S.k
    if at and at > 0 then
      ttl_queue[name] = E.our_region(owner) and at or at + 60000
      S.timed = true
    elseif S.timed or S.rec.T then
      ttl_queue[name] = false
      S.timed = nil
    end
  end

  -- set_ttl replaces the TTL candidates that the effect has seen by one of its own; at < 0 adds none.
  function E.set_ttl(rec, o, at_t, at_op, at)
    local kept = {}
    if rec.T then
      for i = 1, #rec.T do
        local c = rec.T[i]
        if not E.seen(c[1], c[2], c[3]) then kept[#kept + 1] = c end
      end
    end
    for i = 1, #rec.w do
      local w = rec.w[i]
      if w[5] and E.seen(w[1], w[2], w[3]) then w[5] = false end
    end
    if at >= 0 then kept[#kept + 1] = {o, at_t, at_op, at} end
    rec.T = #kept > 0 and kept or nil
  end

  -- expiry reads the TTL that a command has just given a key. Deadlines that a Lua number cannot carry, 285,000 years from
  -- now, become the last one that it can: here too, so that all regions show the same.
  function E.expiry(k)
    local at = call('PEXPIRETIME', k)
    if at < EXACT then return at end
    call('PEXPIREAT', k, format('%.0f', EXACT - 1))
    return EXACT - 1
  end

  -- native_ttl gives the user's key the TTL that its record says. It only hides: collection is the owner's.
  function E.native_ttl(S)
    local at = E.deadline(S.rec) or 0
    local is = call('PEXPIRETIME', S.k)
    if is == -2 then return end
    if at > 0 then
      if is ~= at then call('PEXPIREAT', S.k, format('%.0f', at)) end
    elseif is >= 0 then
      call('PERSIST', S.k)
    end
  end

  -- shows_registers says that the user's key, a string to Redis, is a HyperLogLog to the record.
  function E.shows_registers(rec)
    return rec.p and not (rec.y and find(rec.y, 'p', 1, true))
  end

  -- load_cells loads and decodes every cell of the companion, and the newest stamps beside them.
  function E.load_cells(S)
    if S.cells then return S.cells end
    local cells, newest = {}, {}
    S.cells, S.newest = cells, newest
    if S.form == 'h' then
      local all = call('HGETALL', S.ck)
      for i = 1, #all, 2 do
        local field = all[i]
        local b = byte(field, 1)
        if b == 110 then newest[sub(field, 2)] = tonumber_(all[i + 1])
        elseif b then cells[field] = E.decode(all[i + 1]) end
      end
    end
    return cells
  end

  -- plain says of a cell with one write that the shown type tells all of it: a stable element, or one of a list that
  -- LSET has not changed.
  local function plain(field, w, shown)
    if shown ~= sub(field, 1, 1) then return false end
    if w[1] == '' then return true end
    if shown ~= 'l' then return false end
    local o, at, n = E.made(sub(field, 2))
    return o == w[1] and at == w[2] and n == w[3]
  end

  -- write_companion stores record and cells anew. Dead cells stay only while their shares or removals can still matter, and
  -- elements of which the shown type tells all need none. The newest stamps of a list are those of elements without cells too.
  function E.write_companion(S, shown)
    local rec, list, n, lasting, groups = S.rec, {}, 0, nil, nil
    rec.p, rec.z = nil, nil
    local newest = shown == 'l' and S.newest or {}
    local function note(o, at)
      if o ~= '' and at > (newest[o] or 0) then newest[o] = at end
    end
    for field, cell in pairs_(S.cells) do
      local w = cell.w
      for i = 1, #w do note(w[i][1], w[i][2]) end
      -- What a group has delivered is of no use without the stream.
      if shown ~= 'x' then cell.l, cell.m, cell.k = nil, nil, nil end
      local group = cell.g or cell.d or cell.l
      if group then
        for _, c in pairs_(cell.g or {}) do note(c[1], c[2]) end
        for o, at in pairs_(cell.d or {}) do note(o, at[1]) end
        groups = groups or cell.d or cell.l or cell.g[1][1] ~= '' or shown ~= 'x'
      end
      local only = group and not cell.d and not cell.l and cell.g or w
      local stable = #only == 1 and not cell.s and plain(field, only[1], shown)
      if not stable and (#w > 0 or cell.s or cell.e or group) then
        if cell.s then
          lasting = true
          for o, share in pairs_(cell.s) do note(o, share[3]) end
        elseif cell.e then
          lasting, rec.p = true, #w > 0 or nil
        end
        list[n + 1], list[n + 2] = field, E.encode(cell)
        n = n + 2
      end
    end
    rec.c, rec.q = lasting, groups and true or nil
    if S.form then call('UNLINK', S.ck) else E.count_companion(1) end
    if shown ~= 'l' then E.drop_places(S) end
    S.raw = E.encode(rec)
    if n == 0 and shown ~= 'l' then
      S.form = 's'
      call('SET', S.ck, S.raw)
      return
    end
    S.form = 'h'
    call('HSET', S.ck, '', S.raw)
    E.in_parts(call, 'HSET', S.ck, list)
    for o, at in pairs_(newest) do call('HSET', S.ck, 'n' .. o, format('%.0f', at)) end
  end

  -- visit_later notes that a key of the selected database is to be looked at when all that is recorded up to own time at is known.
  function E.visit_later(k, at)
    local here = db
    E.select(0)
    call('ZADD', GC, format('%.0f', at), here .. ':' .. k)
    E.select(here)
  end

  -- drop_cells makes the companion a Redis string again, to be saved anew.
  function E.drop_cells(S)
    if S.form == 'h' then
      call('UNLINK', S.ck)
      E.drop_places(S)
      S.form, S.raw = 's', ''
    end
  end

  -- bury makes the record of a key that nothing is left of, with the removal's stamp.
  function E.bury(S, o, at_t, at_op)
    local rec = S.rec
    rec.w, rec.T, rec.y, rec.b, rec.x = {}, nil, nil, nil, {o, at_t, at_op}
    if rec.s and not next_(rec.s) then rec.s = nil end
  end

  -- remove_local removes the whole key as this region sees it and emits the effect. The user's key itself is the
  -- caller's business.
  function E.remove_local(S)
    local rec = S.rec
    local list = E.offsets(rec, '', {})
    if rec.T then S.timed = true end
    E.reset(rec)
    -- Removing a stream destroys all its groups, which says more than the cells of groups do.
    local groups = S.stream or (S.form == 'h' and call('HEXISTS', S.ck, 'x') == 1)
    if groups then rec.q = nil end
    if rec.c or rec.q then
      for field, cell in pairs_(E.load_cells(S)) do
        E.offsets(cell, field, list)
        E.reset(cell)
      end
    end
    E.emit('R', S.k, list)
    E.bury(S, origin, t, op)
    if groups then
      E.emit('g', S.k, 'D', '', '')
      E.destroy_all(S, origin, t, op)
    end
    if rec.c or rec.q then
      E.write_companion(S)
    else
      E.drop_cells(S)
      E.save(S)
    end
    S.cells = nil
    E.note_ttl(S)
  end

  local function any_live(S)
    if S.rec.b or E.live(S.rec) then return true end
    for _, cell in pairs_(E.load_cells(S)) do
      if E.live(cell) then return true end
    end
    return S.form == 'h' and call('EXISTS', E.places_key(S)) == 1
  end
  E.any_live = any_live

  -- expire_first turns a key whose TTL has passed, or whose data an eviction took, into a removed one before a
  -- command writes to it. A key that merely ran empty keeps its TTL candidates until it is created anew (fresh).
  function E.expire_first(S)
    local passed = E.passed(S.rec)
    if not passed and call('EXISTS', S.k) == 1 then return end
    if passed or any_live(S) then
      call('UNLINK', S.k)
      E.remove_local(S)
      E.stats.expired = E.stats.expired + 1
      return true
    end
    S.cells = nil
    S.void = true
  end

  -- fresh says, before the write that creates a key anew, that the TTLs of its earlier life are void.
  function E.fresh(S)
    S.void = nil
    E.emit('E', S.k, -1)
    S.timed = true
    E.set_ttl(S.rec, origin, t, op, -1)
    E.note_ttl(S)
  end

  -- adopt begins the record of a key from before Anabranch: b says so while all that no cell names is still there, and
  -- a TTL becomes a candidate that every region knows. It is stored only when a command stores something.
  function E.adopt(S)
    local at = E.expiry(S.k)
    S.rec.b = at ~= -2 or nil
    if at > 0 then
      S.rec.T = {{'', 0, 0, at}}
      S.adopted = true
    end
  end

  -- open_string opens a key for a command of this region that changes a string.
  function E.open_string(k)
    local S = E.open(k)
    if not S.form then
      E.adopt(S)
    elseif S.rec.T then
      E.expire_first(S)
    end
    return S
  end

  -- open_local opens a key of any type for a command of this region that may remove it. That it is a stream is noted, since
  -- removing it destroys its groups, and a stream that every region knows has no cell that says so.
  function E.open_local(k)
    local S = E.open_string(k)
    S.stream = #S.rec.w == 0 and (S.form or S.rec.b) and E.native_type(k) == 'x'
    return S
  end

  -- open_collection opens a key of many elements, its companion most likely a hash.
  function E.open_collection(k)
    local ck = E.companion(k)
    local raw = try('HGET', ck, '')
    if type_(raw) == 'string' then
      return {k = k, ck = ck, form = 'h', raw = raw, rec = raw == EMPTY_RECORD and {w = {}} or E.record(k, raw)}
    end
    if raw == false then
      local S = {k = k, ck = ck, rec = {w = {}}}
      E.adopt(S)
      return S
    end
    return E.open(k)
  end

  -- open_elements does the same for a command of this region.
  function E.open_elements(k)
    local S = E.open_collection(k)
    if S.form and S.rec.T then E.expire_first(S) end
    return S
  end

  -- open_counted opens the keys of a command that names how many they are, as they were before it: key → state.
  function E.open_counted(argv, first, count, last)
    local states = {}
    for j = first, first + count - 1 < last and first + count - 1 or last do states[argv[j]] = E.open_elements(argv[j]) end
    return states
  end

  -- drop_hidden removes what a clash of types has hidden behind the shown type. In other regions every write implies
  -- that; only what this region has seen of hidden counters must be said.
  function E.drop_hidden(S, shown)
    local cells = E.load_cells(S)
    local rec, list = S.rec, {}
    if shown ~= 'k' then
      E.offsets(rec, '', list)
      E.keep_persist(rec)
      E.reset(rec)
    end
    for field, cell in pairs_(cells) do
      if sub(field, 1, 1) ~= shown then
        E.offsets(cell, field, list)
        E.reset(cell)
      end
    end
    if #list > 0 then E.emit('V', S.k, list) end
    rec.y, rec.b = nil, nil
    E.write_companion(S, shown)
    S.cells = nil
  end

  -- The types whose elements can be listed apart, and how many values each is there.
  local PLAIN = {s = 1, h = 2, z = 2}

  -- elements lists those of a user's key, as effects have them, and says how many values each is.
  function E.elements(k, letter)
    if letter == 's' then return call('SMEMBERS', k), 1 end
    if letter == 'h' then return call('HGETALL', k), 2 end
    return call('ZRANGE', k, 0, -1, 'WITHSCORES'), 2
  end

  -- give puts what the user's key has into a live cell.
  local function give(cell, letter, v)
    local top = E.winner(cell)
    if letter == 's' then
      for i = 1, #cell.w do cell.w[i][4] = v end
    elseif top[4] == false then
      top[4] = v
    end
  end

  -- apart describes the elements of a key that are listed apart. A merge says which of them go, how many stay as they are, and which ones are
  -- new; those of a list have places.
  function E.apart(letter, list, places)
    return {letter = letter, list = list, new = {}, gone = {}, kept = 0, places = places}
  end

  -- lift_apart gives cells their values, and lists the elements that have none.
  local function lift_apart(S, letter)
    local all, step = E.elements(S.k, letter)
    local found = {}
    for field, cell in pairs_(S.cells) do
      if sub(field, 1, 1) == letter then found[sub(field, 2)] = cell end
    end
    S.rest = E.apart(letter, all)
    if not next_(found) then return end
    local list, n = {}, 0
    for i = 1, #all, step do
      local v, cell = step == 2 and all[i + 1] or '', found[all[i]]
      if not cell then
        list[n + 1] = all[i]
        if step == 2 then list[n + 2] = v end
        n = n + step
      elseif E.winner(cell) then
        give(cell, letter, v)
      elseif not E.shares_live(cell) then
        S.cells[letter .. all[i]] = {w = {{'', 0, 0, v, true}}, s = cell.s}
      end
    end
    S.rest.list = list
  end

  -- lift makes every live cell carry its value, also where only the user's key held it ('' for set members, which have
  -- none). With keep, elements without a cell become cells with a stamp that everybody has seen; with apart those of a set, hash or sorted
  -- set are listed in S.rest instead: there may be a million of them, and a cell is dear.
  function E.lift(S, keep, apart)
    local nt = E.native_type(S.k)
    local cells, rec = E.load_cells(S), S.rec
    if nt and not S.form then E.adopt(S) end
    if nt == 'k' and E.shows_registers(rec) then
      E.winner(cells.p)[4] = call('GET', S.k)
      return
    elseif nt == 'k' then
      local w = E.winner(rec)
      if w and w[4] == false then
        w[4] = call('GET', S.k)
      elseif not w and keep and not E.shares_live(rec) then
        rec.w[1] = {'', 0, 0, call('GET', S.k), false}
      end
      return
    end
    if not nt then
      S.absent = true
      E.lift_list(S, keep)
      return
    end
    if nt == 'l' then
      E.lift_list(S, keep, call('LRANGE', S.k, 0, -1))
      return
    end
    if apart and PLAIN[nt] then
      lift_apart(S, nt)
      return
    end
    local natives = {}
    if nt == 'o' then
      natives[''] = call('DUMP', S.k)
    elseif nt == 'x' then
      E.lift_stream(S, keep, natives)
    else
      local all, step = E.elements(S.k, nt)
      for i = 1, #all, step do natives[all[i]] = step == 2 and all[i + 1] or '' end
    end
    for element, v in pairs_(natives) do
      local field = nt .. element
      local cell = cells[field]
      if cell and E.winner(cell) then
        give(cell, nt, v)
      elseif keep and not (cell and E.shares_live(cell)) then
        cells[field] = {w = {{'', 0, 0, v, true}}, s = cell and cell.s}
      end
    end
  end

  -- spread makes cells of elements that are listed apart, where there are none. Those of a list have their places beside them.
  function E.spread(letter, list, cells, places)
    if letter == 'l' then
      for i = 1, #list do cells['l' .. places[i]] = {w = {{'', 0, 0, list[i], true}}} end
      return
    end
    local step = PLAIN[letter]
    for i = 1, #list, step do
      local field = letter .. list[i]
      cells[field] = cells[field] or {w = {{'', 0, 0, step == 2 and list[i + 1] or '', true}}}
    end
  end

  -- spread_rest does so for what is left of the elements of a merged key, while the user's key has them.
  function E.spread_rest(S)
    local rest = S.rest
    if not rest then return end
    for i = 1, #rest.gone do S.cells[rest.letter .. rest.gone[i]] = {w = {}} end
    if call('EXISTS', S.k) == 1 then E.spread(rest.letter, E.elements(S.k, rest.letter), S.cells) end
    E.spread(rest.letter, rest.new, S.cells, rest.places)
    S.rest = nil
  end

  -- hollow says of a lifted cell whether the value of a write is not there any more.
  function E.hollow(cell)
    local w = cell.w
    for i = 1, #w do
      if w[i][4] == false then return true end
    end
    return false
  end

  -- missing says, after lift, whether the data expired or was evicted behind our back.
  function E.missing(S)
    if (S.absent and S.rec.b) or E.hollow(S.rec) then return true end
    for _, cell in pairs_(S.cells) do
      if E.hollow(cell) then return true end
    end
    return false
  end

  -- show builds the user's key from cells that were lifted: the type of the highest live stamp is shown, the
  -- others stay hidden in the companion. A key past its deadline shows nothing and keeps its values. Elements that were listed apart
  -- stay in the user's key as they are, but for those gone and new; all of its cells are of their type then.
  function E.show(S)
    local rec, best, shown = S.rec, E.newest(S.rec), nil
    if E.passed(rec) then E.spread_rest(S) end
    local rest = S.rest
    if best then shown = 'k' end
    local letters = {}
    if shown then letters.k = true end
    if S.cells.p then E.join(S.cells.p) end
    for field, cell in pairs_(S.cells) do
      local top = E.newest(cell)
      if top then
        local letter = sub(field, 1, 1)
        letters[letter] = true
        if not best or E.after(top, best) then best, shown = top, letter end
      end
    end
    if rest and rest.kept + #rest.new > 0 then shown = rest.letter end
    E.drop_places(S)
    local hidden = ''
    for _, letter in pairs_({'h', 'k', 'l', 'o', 'p', 's', 'x', 'z'}) do
      if letters[letter] and letter ~= shown then hidden = hidden .. letter end
    end
    rec.y = hidden ~= '' and hidden or nil
    if not shown then rec.b = nil elseif E.passed(rec) then shown = nil end
    if not (shown and rest) and (shown ~= 'x' or not S.native) then call('UNLINK', S.k) end
    if shown then
      if shown == 'k' then
        call('SET', S.k, E.value(rec))
        if not rec.s then E.winner(rec)[4] = false end
      elseif shown == 'l' then
        E.show_list(S)
      elseif shown == 'x' then
        E.show_stream(S)
      elseif shown == 'p' then
        local only = S.cells.p.w[1]
        call('SET', S.k, only[4])
        only[4] = false
      else
        local list, off = rest and rest.new or {}, rest and rest.gone or {}
        if shown == 'z' then
          for i = 1, #list, 2 do list[i], list[i + 1] = list[i + 1], list[i] end
        end
        for field, cell in pairs_(S.cells) do
          if sub(field, 1, 1) == shown and rest then off[#off + 1] = sub(field, 2) end
          if sub(field, 1, 1) == shown and E.live(cell) then
            local top = E.winner(cell)
            if shown == 'z' then
              list[#list + 1] = E.score(cell)
              list[#list + 1] = sub(field, 2)
            elseif shown == 'h' then
              list[#list + 1] = sub(field, 2)
              list[#list + 1] = E.value(cell)
            elseif shown == 's' then
              list[#list + 1] = sub(field, 2)
            else
              call('RESTORE', S.k, 0, top[4])
            end
            if shown == 's' then
              for i = 1, #cell.w do cell.w[i][4] = false end
            elseif top and not cell.s then
              top[4] = false
            end
          end
        end
        if #off > 0 then E.in_parts(call, shown == 's' and 'SREM' or shown == 'h' and 'HDEL' or 'ZREM', S.k, off) end
        if shown == 's' then E.in_parts(call, 'SADD', S.k, list)
        elseif shown == 'h' then E.in_parts(call, 'HSET', S.k, list)
        elseif shown == 'z' then E.in_parts(call, 'ZADD', S.k, list) end
      end
      E.native_ttl(S)
    end
    E.write_companion(S, shown)
    S.cells = nil
    E.note_ttl(S)
    return shown
  end
end
