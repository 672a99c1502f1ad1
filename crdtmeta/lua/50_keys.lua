-- Whole keys: removal, TTL, renaming and copying, commands that store a result, flushing.

do
  local H, native = E.handlers, E.native

  -- remove deletes keys. What one key holds is all that this region has seen of it.
  local function remove(argv, i, n)
    if n == 2 then
      local S = E.open_local(argv[i + 1])
      local reply = native(argv, i, n)
      if reply == 1 then E.remove_local(S) end
      return reply
    end
    local states = {}
    for j = i + 1, i + n - 1 do states[j] = E.open_local(argv[j]) end
    local total = 0
    for j = i + 1, i + n - 1 do
      if call(argv[i], argv[j]) == 1 then
        total = total + 1
        E.remove_local(states[j])
      end
    end
    return total
  end
  H.DEL, H.UNLINK = remove, remove

  local function expire(argv, i, n)
    local S = E.open_local(argv[i + 1])
    local reply = native(argv, i, n)
    if reply ~= 1 then return reply end
    local at = E.expiry(S.k)
    if at > 0 then
      E.ttl_changed(S, at)
    elseif at == -2 then
      E.remove_local(S)
    end
    return reply
  end
  H.EXPIRE, H.PEXPIRE, H.EXPIREAT, H.PEXPIREAT = expire, expire, expire, expire

  function H.PERSIST(argv, i, n)
    local S = E.open_local(argv[i + 1])
    local reply = native(argv, i, n)
    if reply == 1 then E.ttl_changed(S, 0) end
    return reply
  end

  local function rename(argv, i, n)
    local from, to = argv[i + 1], argv[i + 2]
    local S, D = E.open_local(from), E.open_local(to)
    local existed = call('EXISTS', to) == 1
    local reply = native(argv, i, n)
    if (type_(reply) == 'table' and reply.ok or reply == 1) and from ~= to then
      E.remove_local(S)
      E.replaced(to, existed, D.stream)
    end
    return reply
  end
  H.RENAME, H.RENAMENX = rename, rename

  function H.COPY(argv, i, n)
    local from, to = argv[i + 1], argv[i + 2]
    local here, there = db, db
    for j = i + 3, i + n - 2 do
      if upper(argv[j]) == 'DB' then there = tonumber_(argv[j + 1]) end
    end
    E.open_local(from)
    local known = there and there >= 0 and there == floor(there)
    local existed, stream = false, false
    if known then
      local reply = there ~= here and try('SELECT', there)
      if reply and reply.err then
        known = false
      else
        db = there
        stream = E.open_local(to).stream
        existed = call('EXISTS', to) == 1
        E.select(here)
      end
    end
    local reply = native(argv, i, n)
    if reply == 1 then
      E.select(there)
      E.replaced(to, existed, stream)
      E.select(here)
    end
    return reply
  end

  function H.MOVE(argv, i, n)
    local k, here, there = argv[i + 1], db, tonumber_(argv[i + 2])
    local S = E.open_local(k)
    local reply = native(argv, i, n)
    if reply == 1 then
      E.remove_local(S)
      E.select(there)
      E.replaced(k, false)
      E.select(here)
    end
    return reply
  end

  -- stored runs a command whose result replaces the key dst, or removes it when the result is empty.
  local function stored(argv, i, n, dst)
    local stream = E.open_local(dst).stream
    local existed = call('EXISTS', dst) == 1
    local reply = native(argv, i, n)
    if type_(reply) == 'table' and reply.err then return reply end
    if existed or call('EXISTS', dst) == 1 then E.replaced(dst, existed, stream) end
    return reply
  end

  local function store_first(argv, i, n)
    return stored(argv, i, n, argv[i + 1])
  end
  H.SINTERSTORE, H.SUNIONSTORE, H.SDIFFSTORE = store_first, store_first, store_first
  H.ZINTERSTORE, H.ZUNIONSTORE, H.ZDIFFSTORE = store_first, store_first, store_first
  H.ZRANGESTORE, H.GEOSEARCHSTORE = store_first, store_first

  local function store_option(first)
    return function(argv, i, n)
      local dst
      for j = i + first, i + n - 2 do
        local word = upper(argv[j])
        if word == 'STORE' or word == 'STOREDIST' then dst = argv[j + 1] end
      end
      if not dst then return native(argv, i, n) end
      return stored(argv, i, n, dst)
    end
  end
  H.SORT, H.GEORADIUS, H.GEORADIUSBYMEMBER = store_option(2), store_option(6), store_option(5)

  local FIXED = {LOG, SELF, EPOCHS, FRONTIER, CONTEXT, TTLS, COUNT, CONFLICTS, PAUSED, NEWEST, GC, AHEAD, MERGES, FLUSHED, HELD, ALIVE,
    PREFIX .. 'acks', PREFIX .. 'members', PREFIX .. 'lease', PREFIX .. 'status', PREFIX .. 'collected', PREFIX .. 'quarantined', PREFIX .. 'reentry', PREFIX .. 'roster', PREFIX .. 'sweep', PREFIX .. 'cut', PREFIX .. 'shipped', PREFIX .. 'heard', PREFIX .. 'plain'}

  -- Companions are no keys to a client: the next two leave them out.

  function H.DBSIZE()
    local here, keys = db, call('DBSIZE')
    E.select(0)
    keys = keys - (tonumber_(call('HGET', COUNT, here) or 0) or 0) - (counted[here] or 0)
    if here == 0 then
      keys = keys - call('EXISTS', unpack_(FIXED))
    end
    E.select(here)
    return keys
  end

  function H.RANDOMKEY()
    local n = #PREFIX
    for _ = 1, 50 do
      local k = call('RANDOMKEY')
      if not k or sub(k, 1, n) ~= PREFIX then return k end
    end
    -- Nearly everything is a companion: look through the whole database before saying that there is nothing.
    local cursor = '0'
    repeat
      local page = call('SCAN', cursor, 'COUNT', 1000)
      cursor = page[1]
      for _, k in pairs_(page[2]) do
        if sub(k, 1, n) ~= PREFIX then return k end
      end
    until cursor == '0'
    return false
  end

  -- databases lists the databases that hold keys.
  function E.databases()
    local list = {}
    for d in string.gmatch(call('INFO', 'keyspace'), 'db(%d+):') do list[#list + 1] = tonumber_(d) end
    return list
  end

  -- empty empties the selected database and keeps our fixed keys: they wait in another database meanwhile, or, on a
  -- server with one database, as serialized values.
  function E.empty(mode)
    local emptied = db
    E.stir_database()
    if db == 0 then
      local moved, dumped = {}, {}
      local other = try('SELECT', 1).ok and 1
      call('SELECT', 0)
      for _, k in pairs_(FIXED) do
        if other then
          if call('MOVE', k, other) == 1 then moved[#moved + 1] = k end
        else
          dumped[k] = call('DUMP', k) or nil
        end
      end
      if mode then call('FLUSHDB', mode) else call('FLUSHDB') end
      if other then
        call('SELECT', other)
        for _, k in pairs_(moved) do call('MOVE', k, 0) end
        call('SELECT', 0)
      end
      for k, value in pairs_(dumped) do call('RESTORE', k, 0, value) end
    elseif mode then
      call('FLUSHDB', mode)
    else
      call('FLUSHDB')
    end
    E.select(0)
    call('HDEL', COUNT, emptied)
  end

  -- each_companion calls f with the key of every companion in the selected database, page by page.
  function E.each_companion(f)
    local n, cursor = #PREFIX, '0'
    local pattern = string.gsub(PREFIX, '([%[%]*?\\])', '\\%1') .. '*'
    repeat
      local page = call('SCAN', cursor, 'MATCH', pattern, 'COUNT', 1000)
      cursor = page[1]
      for _, ck in pairs_(page[2]) do
        local form = sub(ck, n + 1, n + 1)
        if form == '0' then f(sub(ck, n + 3, -2))
        elseif form == '1' then f(sub(ck, n + 2))
        elseif form == '2' then f(sub(ck, n + 6)) end
      end
    until cursor == '0'
  end

  -- flush_one removes everything of one database as this region has seen it. What it has seen of counters must be said, so
  -- that increments made elsewhere at this moment count, and only they; and dead shares must outlive the flush.
  local function flush_one(d, mode, offsets, counters)
    E.select(d)
    local met = {}
    E.each_companion(function(k)
      local S = E.open(k)
      if not met[k] and (S.rec.v or S.rec.s or S.rec.c or S.rec.q or S.rec.d) then
        met[k] = true
        local list = E.offsets(S.rec, '', {})
        E.reset(S.rec)
        for field, cell in pairs_(E.load_cells(S)) do
          E.offsets(cell, field, list)
          E.reset(cell)
        end
        for p = 1, #list, 7 do
          local q = #offsets
          offsets[q + 1] = d .. ':' .. k
          for j = 0, 6 do offsets[q + 2 + j] = list[p + j] end
        end
        S.db, S.form, S.raw = d, nil, nil
        counters[#counters + 1] = S
      end
    end)
    E.empty(mode)
  end

  -- note_flush keeps when a database, or all (-1), was last emptied: no entry of the log names the keys.
  function E.note_flush(target)
    local here = db
    E.select(0)
    call('HSET', FLUSHED, target, format('%.0f', t))
    E.select(here)
  end

  local function flush(argv, i, n, dbs, target)
    local mode
    if n == 2 then
      mode = upper(argv[i + 1])
      if mode ~= 'SYNC' and mode ~= 'ASYNC' then return {err = 'ERR syntax error'} end
    elseif n > 2 then
      return {err = 'ERR syntax error'}
    end
    local here, offsets, counters = db, {}, {}
    for _, d in pairs_(dbs) do flush_one(d, mode, offsets, counters) end
    E.select(here)
    for name in pairs_(ttl_queue) do
      if target < 0 or find(name, target .. ':', 1, true) == 1 then ttl_queue[name] = nil end
    end
    E.select(0)
    if target < 0 then
      call('DEL', TTLS)
      counted = {}
    else
      counted[target] = nil
      for _, name in pairs_(call('ZRANGE', TTLS, 0, -1)) do
        if find(name, target .. ':', 1, true) == 1 then call('ZREM', TTLS, name) end
      end
    end
    E.say_all_ahead()
    E.select(here)
    E.emit('F', target, offsets)
    E.note_flush(target)
    for i = 1, #counters do
      local S = counters[i]
      E.select(S.db)
      S.rec.T, S.rec.y, S.rec.b, S.rec.x = nil, nil, nil, {origin, t, op}
      E.write_companion(S)
      E.visit_later(S.k, t) -- the log does not name it
    end
    E.select(here)
    return {ok = 'OK'}
  end

  function H.FLUSHDB(argv, i, n) return flush(argv, i, n, {db}, db) end
  function H.FLUSHALL(argv, i, n) return flush(argv, i, n, E.databases(), -1) end
end
