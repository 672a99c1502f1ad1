-- Strings and counters: commands of this region. The last of concurrent writes wins; increments add up.

local OK = {ok = 'OK'}

do
  local H, native = E.handlers, E.native

  -- set_run writes many plain SETs at once: one read for all companions, one write for all keys. It answers false,
  -- having done nothing, when one of the keys needs more than that.
  function E.set_run(argv, first, count)
    local names, missing = {}, 0
    local p = first
    for j = 1, count do
      names[j] = E.companion(argv[p + 2])
      p = p + 4
    end
    local raws = call('MGET', unpack_(names))
    local absent
    for j = 1, count do
      local raw = raws[j]
      if raw == false then
        missing = missing + 1
        absent = absent or {}
        absent[missing] = names[j]
      elseif byte(raw, 1) ~= 1 then
        return false
      end
    end
    if missing > 0 then
      if call('EXISTS', unpack_(absent)) > 0 then return false end
      local new = missing
      if missing > 1 then
        local met = {}
        for j = 1, missing do
          if met[absent[j]] then new = new - 1 end
          met[absent[j]] = true
        end
      end
      E.count_companion(new)
    end
    if eff_db ~= db then
      eff[effn + 1], eff[effn + 2] = 'D', db
      effn, eff_db = effn + 2, db
    end
    local list, n = {}, 0
    local o, m = op, effn
    p = first
    for j = 1, count do
      local k, v = argv[p + 2], argv[p + 3]
      o = o + 1
      eff[m + 1], eff[m + 2], eff[m + 3] = 'S', k, v
      m = m + 3
      list[n + 1], list[n + 2], list[n + 3], list[n + 4] = k, v, names[j], stamp_prefix .. (packed_op[o] or mpack(o))
      n = n + 4
      p = p + 4
    end
    op, effn = o, m
    call('MSET', unpack_(list))
    return true
  end

  -- overwritten records that a whole key became the string v: everything seen is gone. deadline nil means no TTL.
  function E.overwritten(S, v, deadline)
    local rec = S.rec
    if rec.T then S.timed = true end
    if rec.c or E.shares_live(rec) then E.remove_local(S) end
    rec = S.rec
    if S.form == 'h' and not rec.c then
      call('UNLINK', S.ck)
      S.form, S.raw = 's', ''
    end
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
    if rec.y then E.drop_hidden(S, 'k') end
    E.keep_persist(rec)
    E.reset(rec)
    E.emit('W', S.k, call('GET', S.k), list)
    rec.b = nil
    rec.w = {{origin, t, op, false, false}}
    E.save(S)
  end

  local function edit(argv, i, n)
    local S = E.open_local(argv[i + 1])
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
    local S = E.open_local(argv[i + 1])
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
