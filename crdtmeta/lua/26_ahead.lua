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

  -- met says whether a key has been merged from a region before, in a merge that began at an own time: what only one side has now without a
  -- stamp, the other one has removed since.
  function E.met(rec, from, began)
    local vector = began and E.ahead_of(rec)
    if not vector or tonumber_(match(rec.v, '^%d+')) < began then return false end
    for o in pairs_(vector) do
      if find(o, from .. '.', 1, true) == 1 then return true end
    end
    return false
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

  -- A long merge under load leaves a vector for each of its calls, so a call of the log looks at some of them only.
  local SOME = 100
  local cursor = '0' -- where the next call goes on
  local origins      -- name → true of all vectors, perhaps of more; nil until they are needed

  -- led_origins are those that keys which are ahead may have stamps of, although the frontier has nothing of them.
  function E.led_origins()
    if not origins then
      origins = {}
      E.select(0)
      local all = call('HVALS', AHEAD)
      for i = 1, #all do
        for o in pairs_(munpack(all[i])) do origins[o] = true end
      end
    end
    return origins
  end

  -- new_vector keeps a vector under a name.
  function E.new_vector(name, vector)
    local here = db
    E.select(0)
    call('HSET', AHEAD, name, mpack(vector))
    E.select(here)
    E.some_ahead = true
    for o in pairs_(origins and vector or {}) do origins[o] = true end
  end

  -- begin_ahead is called with arming: what is ahead here is not known yet.
  function E.begin_ahead()
    E.some_ahead, origins, cursor = call('EXISTS', AHEAD) == 1, nil, '0'
  end

  -- catch_up drops vectors that the frontier covers, among the next ones.
  function E.catch_up(frontier)
    E.select(0)
    local page = call('HSCAN', AHEAD, cursor, 'COUNT', SOME)
    cursor = page[1]
    local found, over = page[2], {}
    for i = 1, #found, 2 do
      if not E.beyond(munpack(found[i + 1]), frontier) then over[#over + 1] = found[i] end
    end
    if #over > 0 then E.in_parts(call, 'HDEL', AHEAD, over) end
    if call('EXISTS', AHEAD) == 0 then E.begin_ahead() end
  end

  -- included says whether what a key shows already has the effects of the entry at work in it.
  function E.included(rec)
    local vector = E.ahead_of(rec)
    return vector ~= nil and (vector[remote.o] or 0) >= remote.t
  end
end
