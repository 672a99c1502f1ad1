-- Remote effects on strings and counters.

do
  local F, M = E.effects, E.merge

  local function merge_set(k, v)
    local r = remote
    local S = E.open(k)
    local rec = S.rec
    if rec.T then S.timed = true end
    if S.form ~= 'h' and not rec.y and M.all_seen(rec) then
      E.reset(rec)
      rec.w, rec.T, rec.b = {{r.o, r.t, r.op, false, true}}, nil, nil
      call('SET', k, v)
      E.save(S)
    else
      M.full(S, false, function()
        M.forget(S)
        E.set_ttl(rec, r.o, r.t, r.op, -1)
        rec.w[#rec.w + 1] = {r.o, r.t, r.op, v, true}
        if #rec.w > 1 then M.conflict(k, 'string', '', rec) end
      end)
    end
    E.note_ttl(S)
  end

  -- write_strings writes n plain string values at once: one read for all companions, one write for all keys. It answers
  -- false, having done nothing, unless every write has seen all that is here of its key.
  local function write_strings(keys, values, records, n)
    local names = {}
    for j = 1, n do names[j] = E.companion(keys[j]) end
    local raws = call('MGET', unpack_(names, 1, n))
    local absent
    for j = 1, n do
      local raw = raws[j]
      if raw == false then
        absent = absent or {}
        absent[#absent + 1] = names[j]
      else
        if byte(raw, 1) ~= 1 then return false end
        local _, o, at, m = munpack(raw)
        if not E.seen(o, at, m) then return false end
      end
    end
    if absent then
      if call('EXISTS', unpack_(absent)) > 0 then return false end
      local met, missing = {}, 0
      for j = 1, #absent do
        if not met[absent[j]] then
          met[absent[j]] = true
          missing = missing + 1
        end
      end
      E.count_companion(missing)
    end
    local args, m = {}, 0
    for j = 1, n do
      args[m + 1], args[m + 2], args[m + 3], args[m + 4] = keys[j], values[j], names[j], records[j]
      m = m + 4
      M.touch(keys[j])
    end
    call('MSET', unpack_(args, 1, m))
    return true
  end

  local LONGEST_RUN = 500

  -- set_run applies the string writes that follow one another in an entry, and answers the position after them.
  local function set_run(list, p)
    local r, keys, values, records, n = remote, {}, {}, {}, 0
    local first = r.op
    while list[p] == 'S' and n < LONGEST_RUN do
      n = n + 1
      keys[n], values[n] = list[p + 1], list[p + 2]
      local o = first + n - 1
      records[n] = r.prefix .. (packed_op[o] or mpack(o))
      p = p + 3
    end
    if not write_strings(keys, values, records, n) then return false end
    r.op = first + n - 1
    return p
  end

  -- set_entries applies entries from first on that hold nothing but string writes of database 0, all at once. It answers
  -- how many entries and effects it applied, or nothing when they have to be looked at one by one.
  function M.set_entries(entries, first, context)
    local keys, values, records, n = {}, {}, {}, 0
    local o, last = entries[first][2][2], first
    for i = first, #entries do
      local at, body = entries[i][1], entries[i][2]
      if not entries[i][4] or body[2] ~= o or (n > 0 and n + #body > LONGEST_RUN) then break end
      local prefix, ordinal = mpack(1, o, at), 0
      for p = 4, #body, 3 do
        n, ordinal = n + 1, ordinal + 1
        keys[n], values[n] = body[p + 1], body[p + 2]
        records[n] = prefix .. (packed_op[ordinal] or mpack(ordinal))
      end
      last = i
    end
    if n > LONGEST_RUN then return nil end
    remote = {o = o, t = entries[last][1], op = n, seen = context}
    local done = write_strings(keys, values, records, n)
    remote = nil
    if done then return last - first + 1, n end
  end

  function F.S(list, p)
    local q = set_run(list, p)
    if q then return q end
    M.touch(list[p + 1])
    merge_set(list[p + 1], list[p + 2])
    return p + 3
  end

  function F.W(list, p)
    local k, v, given = list[p + 1], list[p + 2], E.by_field(list[p + 3])
    local r, S = remote, E.open(k)
    local rec = S.rec
    if not S.form then E.adopt_ttl(S) end
    M.touch(k)
    if S.form ~= 'h' and not rec.y and not M.passed(rec) and M.all_seen({w = rec.w, s = rec.s}) then
      E.keep_persist(rec)
      E.reset(rec, given[''])
      rec.w = {{r.o, r.t, r.op, false, false}}
      rec.x, rec.b = nil, nil
      if try('GET', k) ~= v then call('SET', k, v, 'KEEPTTL') end
      if rec.T then E.native_ttl(S) end
      E.save(S)
    else
      M.full(S, true, function()
        E.keep_persist(rec)
        E.reset(rec, given[''])
        M.forget_others(S, 'k')
        rec.w[#rec.w + 1] = {r.o, r.t, r.op, v, false}
        if #rec.w > 1 then M.conflict(k, 'string', '', rec) end
      end)
    end
    return p + 4
  end

  function M.count_string(k, t0, op0, sum, float)
    local r, S = remote, E.open(k)
    local rec = S.rec
    if not S.form then E.adopt_ttl(S) end
    local top = E.winner(rec)
    local native = try('GET', k)
    local clash = S.form == 'h' or rec.y or type_(native) == 'table' or (top and top[4] == false and native == false)
    if clash then
      M.full(S, true, function()
        M.forget_others(S, 'k')
        E.take_share(rec, t0, op0, sum, float)
        rec.x = nil
      end)
      return
    end
    if top then
      if top[4] == false then top[4] = native end
    elseif native and not E.shares_live(rec) then
      rec.w[1] = {'', 0, 0, native, false}
      rec.b = nil
    end
    E.take_share(rec, t0, op0, sum, float)
    rec.x = nil
    local v = E.value(rec)
    if v ~= native then call('SET', k, v, 'KEEPTTL') end
    if rec.T then E.native_ttl(S) end
    E.save(S)
  end
end
