-- Collection: what every region has seen needs no metadata. A key without any is what it shows, and every region knows it.
--
-- Whatever one region collects and another has not yet must not make a difference to any effect that is still to come. Such
-- an effect has seen all that is collected, so it finds data that everybody knows in the one region and a stamp that it has
-- seen in the other: the same. Three things are told apart by more than their stamps and stay as long as the key: counter
-- shares, places of list elements, and the TTL that is in force. A HyperLogLog's cell stays too, because only effects that
-- name it remove it.

do
  local PAGE = 500            -- cells in one step
  local LARGE = 2000          -- a companion with more cells is looked through only when the caller insists
  local known, settled        -- origin → t; own time: all that was recorded here up to it is in known
  local mark                  -- own time that all that is recorded here by now is not above
  local marked                -- something of the key at work can go later
  local frontier              -- of this region

  local function knows(o, at)
    return o == '' or at <= (known[o] or 0)
  end

  local function all_known(list)
    for i = 1, #list do
      if not knows(list[i][1], list[i][2]) then return false end
    end
    return true
  end

  -- drop_known takes what every region has seen out of a map origin → {t, op}. It answers nil for an empty one.
  local function drop_known(map)
    if not map then return nil end
    for o, stamp in pairs_(map) do
      if knows(o, stamp[1]) then map[o] = nil end
    end
    return next_(map) and map or nil
  end

  local function shares_known(cell)
    for o, s in pairs_(cell.s or {}) do
      if not knows(o, s[3]) then return false end
    end
    return true
  end

  -- end_shares drops the shares of a cell once all have come to nothing and every region knows that: shares do not say what
  -- reset them, so they go when all that had been recorded at a first look is known.
  local function end_shares(cell)
    if not cell.s then return end
    if E.shares_live(cell) or not shares_known(cell) then
      cell.z = nil
    elseif (cell.z or mark) <= settled then
      cell.s, cell.z = nil, nil
    else
      cell.z, marked = cell.z or mark, true
    end
  end

  -- end_group reduces the cell of a consumer group. It answers whether nothing is left that must be kept.
  local function end_group(cell, present)
    cell.d = drop_known(cell.d)
    if cell.g and present and all_known(cell.g) then cell.g = {{'', 0, 0, cell.g[1][4]}} end
    if cell.d or cell.l or cell.k then return false end
    return not cell.g or (present and cell.g[1][1] == '')
  end

  -- reduce takes out of a cell what every region has seen. It answers whether nothing is left that must be kept.
  local function reduce(field, cell, present)
    if field == 'p' then
      cell.e = drop_known(cell.e) or {}
      return #cell.w == 0 and not next_(cell.e)
    end
    if cell.l or cell.g or cell.d or cell.k then return end_group(cell, present) end
    end_shares(cell)
    if #cell.w > 0 and all_known(cell.w) and present then
      cell.w = cell.s and {{'', 0, 0, E.winner(cell)[4], true}} or {}
    end
    return #cell.w == 0 and not cell.s
  end

  -- reduce_ttl keeps of TTLs that every region has seen the one in force. none says that a write that is dropped meant "no TTL".
  local function reduce_ttl(S, none)
    local rec = S.rec
    if not rec.T then return end
    local best = E.longest(rec.T)
    if none or best[4] == 0 then
      rec.T, S.timed = nil, true
    elseif #rec.T > 1 then
      rec.T = {best}
    end
  end

  -- reduce_record does the same for what is said of the whole key.
  local function reduce_record(S, present)
    local rec = S.rec
    if rec.x and knows(rec.x[1], rec.x[2]) then rec.x = nil end
    rec.d = drop_known(rec.d)
    end_shares(rec)
    local ttl = not rec.T or all_known(rec.T)
    if #rec.w > 0 and present and ttl and all_known(rec.w) then
      local none = false
      for i = 1, #rec.w do none = none or rec.w[i][5] end
      reduce_ttl(S, none)
      if rec.s then
        rec.w = {{'', 0, 0, E.winner(rec)[4], false}}
      else
        rec.w, rec.b = {}, true
      end
    elseif #rec.w == 0 and ttl then
      reduce_ttl(S, false)
    end
  end

  local function cell_known(cell)
    return all_known(cell.w) and all_known(cell.g or {}) and shares_known(cell) and not drop_known(cell.e)
  end

  -- unmix ends a clash of types once every region has seen all of it: what is hidden goes. It answers whether it could.
  local function unmix(S)
    local rec, cells = S.rec, E.load_cells(S)
    if not cell_known(rec) or not all_known(rec.T or {}) then return false end
    -- A hidden HyperLogLog ends only where an effect names it, and who has none names none.
    if cells.p and #cells.p.w > 0 and not E.shows_registers(rec) then return false end
    for _, cell in pairs_(cells) do
      if not cell_known(cell) then return false end
    end
    local shown = E.native_type(S.k)
    if not shown then return false end
    if shown == 'k' and E.shows_registers(rec) then shown = 'p' end
    if shown ~= 'k' then
      E.keep_persist(rec)
      rec.w, rec.s = {}, nil
    end
    for field in pairs_(cells) do
      if sub(field, 1, 1) ~= shown then cells[field] = nil end
    end
    rec.y = nil
    E.write_companion(S, shown)
    S.cells = nil
    return true
  end

  local function is_void(rec)
    return #rec.w == 0 and not (rec.s or rec.T or rec.x or rec.d or rec.y or rec.v)
  end

  -- finish_key stores the record, or ends the companion when it says nothing any more.
  local function finish_key(S, whole)
    local rec = S.rec
    if whole and (S.form == 's' or call('HLEN', S.ck) == 1) then
      rec.c, rec.q, rec.p = nil, nil, nil
      local placed = S.form == 'h' and call('EXISTS', E.places_key(S)) == 1
      if is_void(rec) and not placed then
        call('UNLINK', S.ck)
        E.count_companion(-1)
        E.stats.collected_keys = E.stats.collected_keys + 1
        return
      end
      if S.form == 'h' and not placed then E.drop_cells(S) end
    end
    E.save(S)
  end

  -- page looks at some cells of a companion. It answers where to go on.
  local function page(S, cursor, present)
    local found = call('HSCAN', S.ck, cursor, 'COUNT', PAGE)
    local drop, keep, live = {}, {}, false
    for i = 1, #found[2], 2 do
      local field, raw = found[2][i], found[2][i + 1]
      local b = byte(field, 1)
      if b == 110 then
        if knows(sub(field, 2), tonumber_(raw)) then drop[#drop + 1] = field end
      elseif b and byte(raw, 1) == 1 then
        local _, o, at = munpack(raw)
        if present and knows(o, at) then
          drop[#drop + 1] = field
          live = live or b ~= 108 -- an element of a list has its place
        end
      elseif b then
        local cell = E.decode(raw)
        local lived = E.live(cell) or cell.g
        if reduce(field, cell, present) then
          drop[#drop + 1] = field
          live = live or (lived and b ~= 108)
        else
          local packed = E.encode(cell)
          if packed ~= raw then
            keep[#keep + 1] = field
            keep[#keep + 1] = packed
          end
        end
      end
    end
    E.in_parts(call, 'HDEL', S.ck, drop)
    E.in_parts(call, 'HSET', S.ck, keep)
    if live then S.rec.b = true end
    return found[1]
  end

  -- leftover says of a key that shows nothing whether what is left of it is this region's to remove, and every region knows it: a
  -- TTL, or groups that outlived their stream. They cannot just go: a region that still has them would give them to the key's
  -- next life. So the key is removed once more, by an effect.
  local function leftover(S)
    local rec, ours = S.rec, false
    if not (rec.T or rec.q) or rec.y or E.passed(rec) or E.any_live(S) then return false end
    if rec.T then
      if not all_known(rec.T) then return false end
      local _, owner = E.deadline(rec)
      ours = owner and E.our_region(owner)
    end
    if rec.q then
      for _, cell in pairs_(E.load_cells(S)) do
        if cell.g and not all_known(cell.g) then return false end
        ours = ours or (cell.g and E.our_region(cell.g[1][1]))
      end
    end
    if not ours then return false end
    if (rec.z or mark) <= settled then return true end
    rec.z, marked = rec.z or mark, true
    return false
  end

  -- still_ahead says whether a merge has brought more of a key than the log has by now. The log drops vectors as it goes, some at a time, so
  -- this one may be over.
  local function still_ahead(rec)
    local vector = E.ahead_of(rec)
    if vector and E.beyond(vector, frontier) then return true end
    rec.v = nil
    return false
  end

  -- collect_key answers where to go on with a key: "0" when nothing is left to do, "+" and a size when it is large and cursor
  -- did not insist.
  local function collect_key(k, cursor)
    local S = E.open(k)
    if not S.form then return '0' end
    E.stats.visited_keys = E.stats.visited_keys + 1
    -- What a TTL or an eviction has taken is not for this file to judge.
    local present = not E.passed(S.rec) and call('EXISTS', k) == 1
    marked = still_ahead(S.rec)
    if not present and leftover(S) then
      E.remove_local(S)
      return '0'
    end
    S.cells = nil
    if S.rec.y and not (present and unmix(S)) then
      if marked then E.visit_later(k, mark) end
      return '0'
    end
    local next_cursor = '0'
    if S.form == 'h' then
      if cursor == '' then
        local size = call('HLEN', S.ck)
        if size > LARGE then return '+' .. size end
        cursor = '0'
      end
      next_cursor = page(S, cursor, present)
    end
    if next_cursor == '0' then reduce_record(S, present) end
    finish_key(S, next_cursor == '0')
    if S.timed then E.note_ttl(S) end
    if marked then E.visit_later(k, mark) end
    return next_cursor
  end

  -- weight is how many bytes of a key's metadata would go if every region had seen all of it. What stays as long as the key counts
  -- for nothing, nor does what stands beside it, so it is rather too little.
  local function weight(k)
    local S = E.open(k)
    if not S.form or S.rec.c or (S.form == 's' and (S.rec.s or S.rec.T)) then return 0 end
    return call('MEMORY', 'USAGE', S.ck)
  end

  -- FCALL anabranch_weigh_1 0 draws: of the keys in crdt:gc how many there are, how many were drawn, at most so many, the weight of
  -- these, and the size of crdt:gc itself.
  function E.weigh(argv)
    local refused = E.begin(0)
    if refused then return refused end
    local total, drawn, bytes = call('ZCARD', GC), call('ZRANDMEMBER', GC, argv[1]), 0
    for i = 1, #drawn do
      local colon = find(drawn[i], ':', 1, true)
      E.select(tonumber_(sub(drawn[i], 1, colon - 1)))
      bytes = bytes + weight(sub(drawn[i], colon + 1))
    end
    E.select(0)
    return {total, #drawn, bytes, call('MEMORY', 'USAGE', GC) or 0}
  end

  -- FCALL anabranch_collect_1 0 self known settled {db key cursor}…: nothing is done in another epoch than self.
  function E.collect(argv)
    local refused = E.begin(0)
    if refused then return refused end
    if argv[1] ~= origin then return {} end
    known, settled = munpack(argv[2]), tonumber_(argv[3])
    if type_(known) ~= 'table' or not settled then return {err = 'ERR anabranch: malformed call'} end
    -- While the log is ahead of the clock, t is a time that no look reaches before something else is written.
    mark = now * TICKS > last_t and now * TICKS or last_t
    E.select(0)
    frontier = E.read_frontier()
    local replies = {}
    for i = 4, #argv, 3 do
      E.select(tonumber_(argv[i]))
      replies[#replies + 1] = collect_key(argv[i + 1], argv[i + 2])
    end
    if E.some_ahead then E.catch_up(frontier) end
    E.finish()
    return replies
  end
end
