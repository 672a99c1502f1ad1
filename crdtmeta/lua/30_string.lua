-- Strings and counters: commands of this region. The last of concurrent writes wins; increments add up.

local OK = {ok = 'OK'}

local LONGEST_RUN = 2000 -- elements of a run: far below what one redis.call can carry

do
  local H, native = E.handlers, E.native

  -- run_of unpacks a run of strings to write: a list of fours, key, value, companion's name ("": find it), and room for
  -- the companion's record, as MSET will take it. It answers nil when raw is none.
  function E.run_of(raw)
    local good, run = ppcall(munpack, raw)
    if not good or type_(run) ~= 'table' or #run == 0 or #run % 4 ~= 0 or #run > LONGEST_RUN then return nil end
    return run
  end

  -- plain_run says whether a run's strings can be written as they are: the keys are new, or replaceable(record) says so of
  -- what each of them has. New companions are counted.
  function E.plain_run(run, n, replaceable)
    local names, j = {}, 0
    for p = 3, n, 4 do
      j = j + 1
      local name = run[p]
      if name == '' then
        name = E.companion(run[p - 2])
        run[p] = name
      end
      names[j] = name
    end
    local raws = call('MGET', unpack_(names, 1, j))
    local absent, new = nil, 0
    for i = 1, j do
      local old = raws[i]
      if old == false then
        absent = absent or {}
        local name = names[i]
        if not absent[name] then
          new = new + 1
          absent[name], absent[new] = true, name
        end
      elseif byte(old, 1) ~= 1 or (replaceable and not replaceable(old)) then
        return false
      end
    end
    if new > 0 then
      if call('EXISTS', unpack_(absent, 1, new)) > 0 then return false end
      E.count_companion(new)
    end
    return true
  end

  -- set_run writes many strings at once, as plain SETs do: one read for all companions, one write for all keys, one
  -- effect. Keys that need more than that are set one by one.
  function E.set_run(raw)
    local run = E.run_of(raw)
    if not run then return {err = 'ERR anabranch: malformed run'} end
    local n = #run
    if unrecorded or not E.plain_run(run, n) then
      for p = 1, n, 4 do
        local S = E.open_local(run[p])
        call('SET', run[p], run[p + 1])
        E.overwritten(S, run[p + 1], nil)
      end
      return OK
    end
    E.emit('M', n / 4)
    in_runs = in_runs + n / 4 - 1
    if waiting[db] or fading[db] then
      for p = 1, n, 4 do E.stir(run[p]) end
    end
    runs[runn + 1], runs[runn + 2] = 's', raw
    runn = runn + 2
    local record = stamp_prefix .. (packed_op[op] or mpack(op))
    for p = 4, n, 4 do run[p] = record end
    call('MSET', unpack_(run, 1, n))
    return OK
  end

  -- overwritten records that a whole key became the string v: everything seen is gone. deadline nil means no TTL.
  function E.overwritten(S, v, deadline)
    local rec = S.rec
    if rec.T then S.timed = true end
    if rec.c or E.shares_live(rec) then E.remove_local(S) end
    rec = S.rec
    if not rec.c then E.drop_cells(S) end
    E.emit('S', S.k, v)
    rec.w, rec.T, rec.y, rec.b = {{origin, t, op, false, true}}, nil, nil, nil
    if deadline then
      E.emit('E', S.k, deadline)
      E.set_ttl(rec, origin, t, op, deadline)
    end
    E.save(S)
    E.note_ttl(S)
  end

  -- keep_persist moves the "no TTL" that a replaced write stood for into the list of candidates.
  function E.keep_persist(rec)
    for i = 1, #rec.w do
      local w = rec.w[i]
      if w[5] and E.seen(w[1], w[2], w[3]) then
        rec.T = rec.T or {}
        rec.T[#rec.T + 1] = {w[1], w[2], w[3], 0}
      end
    end
  end

  -- edited records that a string's content changed and its TTL did not.
  function E.edited(S)
    local rec = S.rec
    if S.void then E.fresh(S) end
    local list = E.offsets(rec, '', {})
    if rec.y or rec.p then E.drop_hidden(S, 'k') end
    E.keep_persist(rec)
    E.reset(rec)
    E.emit('W', S.k, call('GET', S.k), list)
    rec.b = nil
    rec.w = {{origin, t, op, false, false}}
    E.save(S)
  end

  local function edit(argv, i, n)
    local S = E.open_string(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) ~= 'table' or not reply.err then
      if call('EXISTS', S.k) == 1 then E.edited(S) end
    end
    return reply
  end
  H.APPEND, H.SETBIT = edit, edit

  function H.SETRANGE(argv, i, n)
    if argv[i + 3] == '' then return native(argv, i, n) end
    return edit(argv, i, n)
  end

  local function written(S, deadline)
    local v = call('GET', S.k)
    if v then
      E.overwritten(S, v, deadline)
    else
      call('UNLINK', S.k)
      E.remove_local(S)
    end
  end

  -- SET with its options. Whether it wrote follows from its own reply, and with GET from what was there before.
  function H.SET(argv, i, n)
    local k = argv[i + 1]
    local S = E.open_local(k)
    local get, keep, timed, nx, xx
    for j = i + 3, i + n - 1 do
      local word = upper(argv[j])
      if word == 'GET' then get = true
      elseif word == 'KEEPTTL' then keep = true
      elseif word == 'NX' then nx = true
      elseif word == 'XX' then xx = true
      elseif word == 'EX' or word == 'PX' or word == 'EXAT' or word == 'PXAT' then timed = true end
    end
    local existed = (nx or xx) and get and call('EXISTS', k) == 1
    local reply = native(argv, i, n)
    if type_(reply) == 'table' and reply.err then return reply end
    local wrote = reply and true
    if get then
      if nx then wrote = not existed elseif xx then wrote = existed else wrote = true end
    end
    if not wrote then return reply end
    if keep then
      -- Where another type became a string, its elements go and only the TTL stays.
      if S.form == 'h' then E.drop_hidden(S, 'k') end
      E.edited(S)
    elseif timed then
      local at = E.expiry(k)
      if at == -2 then
        call('UNLINK', k)
        E.remove_local(S)
      else
        E.overwritten(S, argv[i + 2], at)
      end
    else
      E.overwritten(S, argv[i + 2], nil)
    end
    return reply
  end

  function H.SETNX(argv, i, n)
    local S = E.open_local(argv[i + 1])
    local reply = native(argv, i, n)
    if reply == 1 then E.overwritten(S, argv[i + 2], nil) end
    return reply
  end

  local function setex(argv, i, n)
    local S = E.open_local(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) == 'table' and reply.ok then
      local at = E.expiry(S.k)
      if at > 0 then
        E.overwritten(S, argv[i + 3], at)
      else
        E.remove_local(S)
      end
    end
    return reply
  end
  H.SETEX, H.PSETEX = setex, setex

  function H.GETSET(argv, i, n)
    local S = E.open_local(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) ~= 'table' then E.overwritten(S, argv[i + 2], nil) end
    return reply
  end

  function H.GETDEL(argv, i, n)
    local S = E.open_local(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) == 'string' then E.remove_local(S) end
    return reply
  end

  function H.GETEX(argv, i, n)
    local S = E.open_local(argv[i + 1])
    local before = E.expiry(S.k)
    local reply = native(argv, i, n)
    if type_(reply) ~= 'string' or n == 2 then return reply end
    local at = E.expiry(S.k)
    if at == -2 then
      E.remove_local(S)
    elseif at > 0 then
      E.ttl_changed(S, at)
    elseif before > 0 then
      E.ttl_changed(S, 0)
    end
    return reply
  end

  function H.MSET(argv, i, n)
    local reply = nil
    if n >= 3 and n % 2 == 1 then
      local states = {}
      for j = i + 1, i + n - 1, 2 do states[j] = E.open_local(argv[j]) end
      reply = native(argv, i, n)
      for j = i + 1, i + n - 1, 2 do
        -- A key that is named twice was opened before its first write; open it again.
        E.overwritten(E.open(argv[j]), argv[j + 1], nil)
      end
      return reply
    end
    return native(argv, i, n)
  end

  function H.MSETNX(argv, i, n)
    if n >= 3 and n % 2 == 1 then
      for j = i + 1, i + n - 1, 2 do E.open_local(argv[j]) end
    end
    local reply = native(argv, i, n)
    if reply == 1 then
      for j = i + 1, i + n - 1, 2 do E.overwritten(E.open(argv[j]), argv[j + 1], nil) end
    end
    return reply
  end

  -- BITOP's destination is overwritten; an empty result removes it.
  function H.BITOP(argv, i, n)
    if n < 4 then return native(argv, i, n) end
    local S = E.open_local(argv[i + 2])
    for j = i + 3, i + n - 1 do E.open_local(argv[j]) end
    local existed = call('EXISTS', S.k) == 1
    local reply = native(argv, i, n)
    if type_(reply) == 'table' then return reply end
    if reply > 0 then
      written(E.open(S.k), nil)
    elseif existed then
      E.remove_local(E.open(S.k))
    end
    return reply
  end

  -- count runs an increment on a string key. delta is in the form of a sum.
  local function count(argv, i, n, delta, float)
    local S = E.open_string(argv[i + 1])
    local rec, old = S.rec, nil
    if not rec.s or not E.shares_live(rec) then
      old = try('GET', S.k)
      if type_(old) == 'table' then old = nil end
    end
    local reply = native(argv, i, n)
    if type_(reply) == 'table' then return reply end
    if type_(delta) == 'function' then delta = delta() end
    if rec.y then E.drop_hidden(S, 'k') end
    if old then
      rec.b = nil
      if #rec.w == 0 then rec.w[1] = {'', 0, 0, old, false} else E.winner(rec)[4] = old end
    end
    local share = rec.s and rec.s[origin]
    if E.too_large(delta) or (share and E.too_large(E.add(share[5], delta, share[9] or float == 1))) then
      E.edited(S)
    else
      if S.void then E.fresh(S) end
      local s, t0, op0 = E.bump(rec, delta, E.add, float == 1)
      if float == 1 and not E.settle(rec, s, reply, E.value, E.add_floats) then
        reply = E.value(rec)
        call('SET', S.k, reply, 'KEEPTTL')
      end
      E.emit('i', 'k', S.k, '', t0, op0, s[5], s[9] and 1 or 0)
      rec.x = nil
      E.save(S)
    end
    if float == 0 and (reply >= EXACT or reply <= -EXACT) then
      -- Near the limits the sum may be saturated: every region shows what the registers say.
      local shown, v = call('GET', S.k), E.value(rec)
      if v and rec.s and v ~= shown then
        call('SET', S.k, v, 'KEEPTTL')
        shown = v
      end
      return shown
    end
    return reply
  end

  function H.INCR(argv, i, n) return count(argv, i, n, 1, 0) end
  function H.DECR(argv, i, n) return count(argv, i, n, -1, 0) end
  function H.INCRBY(argv, i, n)
    return count(argv, i, n, function() return E.amount(argv[i + 2]) end, 0)
  end
  function H.DECRBY(argv, i, n)
    return count(argv, i, n, function() return E.negative(E.amount(argv[i + 2])) end, 0)
  end
  function H.INCRBYFLOAT(argv, i, n)
    return count(argv, i, n, function() return E.plain_float(argv[i + 2]) end, 1)
  end

  -- plain_float spells a client's float (also 1e3 or 0x10) as Redis would print it.
  function E.plain_float(s)
    return E.add(0, s, true)
  end
end
