-- Remote effects on strings and counters.

do
  local F, M = E.effects, E.merge

  local function merge_set(k, v)
    local r = remote
    local S = E.open(k)
    local rec = S.rec
    if rec.T then S.timed = true end
    if rec.x then M.over_removal(S, 'k') end
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
        if #rec.w > 1 then M.conflict(k, 'k', '', rec) end
        M.summed(k, 'k', '', rec)
      end)
    end
    E.note_ttl(S)
  end

  -- replaceable says whether the record of a plain string was seen. Strings that were written together have one record, so
  -- the answer is kept.
  local function replaceable()
    local fine = {}
    return function(raw)
      if fine[raw] then return true end
      local _, o, at, ordinal = munpack(raw)
      fine[raw] = E.seen(o, at, ordinal)
      return fine[raw]
    end
  end

  -- write_run writes plain string values at once: one read for all companions, one write for all keys. It answers false,
  -- having done nothing, unless every write has seen all that is here of its key.
  local function write_run(run, n)
    if not E.plain_run(run, n, replaceable()) then return false end
    call('MSET', unpack_(run, 1, n))
    for p = 1, n, 4 do M.touch(run[p]) end
    return true
  end

  -- set_entries applies entries from first on that hold nothing but string writes of database 0, all at once. It answers
  -- how many entries and effects it applied, or nothing when they have to be looked at one by one.
  function M.set_entries(entries, first, context)
    local all, n, effects = {}, 0, 0
    local o, last = entries[first].body[2], nil
    for i = first, #entries do
      local entry = entries[i]
      local body, nth = entry.body, 0
      if not entry.plain or body[2] ~= o or n + entry.plain > LONGEST_RUN then break end
      local prefix, ordinal, p = mpack(1, o, entry.t), 0, 4
      while p <= #body do
        ordinal = ordinal + 1
        local record = prefix .. (packed_op[ordinal] or mpack(ordinal))
        if body[p] == 'M' then
          nth = nth + 1
          local run = entry.runs[nth]
          for q = 1, #run, 4 do
            all[n + 1], all[n + 2], all[n + 3], all[n + 4] = run[q], run[q + 1], run[q + 2], record
            n = n + 4
          end
          p = p + 2
        else
          all[n + 1], all[n + 2], all[n + 3], all[n + 4] = body[p + 1], body[p + 2], '', record
          n, p = n + 4, p + 3
        end
      end
      effects = effects + ordinal
      last = i
    end
    if not last then return nil end
    remote = {o = o, t = entries[last].t, op = effects, seen = context}
    local done = write_run(all, n)
    remote = nil
    if done then return last - first + 1, effects end
  end

  function F.S(list, p)
    M.touch(list[p + 1])
    merge_set(list[p + 1], list[p + 2])
    return p + 3
  end

  -- Many writes that share one stamp. Of a key that is named twice the last value counts.
  function F.M(list, p)
    remote.nth = (remote.nth or 0) + 1
    local run = remote.runs[remote.nth]
    for q = 1, #run, 4 do
      if not (E.some_ahead and M.skips(run[q])) then
        M.touch(run[q])
        merge_set(run[q], run[q + 1])
      end
    end
    return p + 2
  end

  function F.W(list, p)
    local k, v, given = list[p + 1], list[p + 2], E.by_field(list[p + 3])
    local r, S = remote, E.open(k)
    local rec = S.rec
    if not S.form then E.adopt(S) end
    M.touch(k)
    if rec.x then M.over_removal(S, 'k') end
    if S.form ~= 'h' and not rec.y and not E.passed(rec) and M.all_seen({w = rec.w, s = rec.s}) then
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
        if #rec.w > 1 then M.conflict(k, 'k', '', rec) end
        M.summed(k, 'k', '', rec)
      end)
    end
    return p + 4
  end

  function M.count_string(k, t0, op0, sum, float)
    local r, S = remote, E.open(k)
    local rec = S.rec
    if not S.form then E.adopt(S) end
    if rec.x then M.over_removal(S, 'k') end
    local top = E.winner(rec)
    local native = try('GET', k)
    local clash = S.form == 'h' or rec.y or type_(native) == 'table' or (top and top[4] == false and native == false)
    if clash then
      M.full(S, true, function()
        M.forget_others(S, 'k')
        E.take_share(rec, t0, op0, sum, float)
        rec.x = nil
        M.summed(k, 'k', '', rec)
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
    local v = M.sum(k, 'k', '', rec)
    if v ~= native then call('SET', k, v, 'KEEPTTL') end
    if rec.T then E.native_ttl(S) end
    E.save(S)
  end
end
