-- Keys that are ahead of this region's frontier. A merge brings what another region has of a key, which may be more than what
-- the log of that region, or of a third one, has brought here. Until the frontier has caught up, the key's record names a
-- vector in crdt:ahead: all that the merged state has seen. What this region then does to the key has seen it too, which its
-- log entries say (effect C), and entries that arrive later and are part of the state already are left out for this key.

do
  -- union adds to a vector what another one has beyond it.
  function E.union(vector, other)
    for o, at in pairs_(other) do
      if at > (vector[o] or 0) then vector[o] = at end
    end
    return vector
  end

  -- beyond is the part of a vector that a frontier does not cover, or nil. Our own effects are all here.
  function E.beyond(vector, frontier)
    local rest
    for o, at in pairs_(vector) do
      if o ~= origin and at > (frontier[o] or 0) then
        rest = rest or {}
        rest[o] = at
      end
    end
    return rest
  end

  -- ahead_of gives the vector of a record, or nil when the frontier has caught up.
  function E.ahead_of(rec)
    if not rec.v then return nil end
    local here = db
    E.select(0)
    local raw = call('HGET', AHEAD, rec.v)
    E.select(here)
    if raw then return munpack(raw) end
    rec.v = nil
  end

  -- lead notes that a key which is opened is ahead.
  function E.lead(k, rec)
    local vector = E.ahead_of(rec)
    if not vector or remote then return end
    leads = leads or {}
    leads[db] = leads[db] or {}
    leads[db][k] = vector
  end

  -- note_ahead puts into the entry what the following effects on a key have seen besides the frontier.
  function E.note_ahead(k, vector)
    eff[effn + 1], eff[effn + 2], eff[effn + 3] = 'C', k, vector
    effn = effn + 3
  end

  function E.say_ahead(kind, ...)
    local at, of = E.key_at[kind], leads[db]
    if not at or not of then return end
    local k = (select(at, ...))
    if of[k] then
      E.note_ahead(k, of[k])
      of[k] = nil
    end
  end

  -- say_all_ahead does so for every key that was opened.
  function E.say_all_ahead()
    for d, of in pairs_(leads or {}) do
      E.select(d)
      for k, vector in pairs_(of) do
        E.in_database()
        E.note_ahead(k, vector)
      end
    end
    leads = nil
  end

  -- A merge leaves a vector for each of its calls, so nothing may go through all of them with every batch of the log.
  local LOOKED_AT = 32 -- vectors for each call of catch_up, on average
  local joined         -- the union of all vectors, or nil when it has to be read
  local looks = 0

  -- forget_ahead is called when the library is armed: what is in memory may not be what is in Redis.
  function E.forget_ahead() joined, looks = nil, 0 end

  -- joined_ahead is the union of all vectors. It may have more: vectors that the frontier has covered since.
  function E.joined_ahead()
    if not joined then
      joined = {}
      E.select(0)
      local all = call('HVALS', AHEAD)
      for i = 1, #all do E.union(joined, munpack(all[i])) end
    end
    return joined
  end

  function E.store_ahead(name, vector)
    local here = db
    E.select(0)
    E.union(E.joined_ahead(), vector)
    call('HSET', AHEAD, name, mpack(vector))
    E.some_ahead = true
    E.select(here)
  end

  -- catch_up drops the vectors that the frontier covers: all at once, and some of them now and then before that.
  function E.catch_up(frontier)
    E.select(0)
    if not E.beyond(E.joined_ahead(), frontier) then
      call('DEL', AHEAD)
      E.some_ahead, joined = false, nil
      return
    end
    looks = looks + LOOKED_AT
    if looks < call('HLEN', AHEAD) then return end
    looks, joined = 0, {}
    local all = call('HGETALL', AHEAD)
    for i = 1, #all, 2 do
      local vector = munpack(all[i + 1])
      if E.beyond(vector, frontier) then E.union(joined, vector) else call('HDEL', AHEAD, all[i]) end
    end
    E.some_ahead = next_(joined) ~= nil
  end

  -- included says whether what a key shows already has the effects of the entry at work in it.
  function E.included(rec)
    local vector = E.ahead_of(rec)
    return vector ~= nil and (vector[remote.o] or 0) >= remote.t
  end
end
