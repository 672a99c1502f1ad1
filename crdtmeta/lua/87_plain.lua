-- Writing without a record (docs/engine.md, 12): as long as somebody may write past the engine, metadata would soon be wrong, and
-- what goes by wrong metadata harms data. So the engine keeps none: a call works as always, and forgets at its end what it
-- has noted. crdt:plain says so: "yes", or "soon" while a leader clears away what is left from before.

do
  local PLAIN = PREFIX .. 'plain'
  local companion = E.companion
  local databases = {} -- database → names of companions that this call has opened

  -- plain_companion names a companion where none can be: what lies under the usual names is out of date.
  local function plain_companion(key)
    local name = companion(key)
    name = PREFIX .. char(byte(name, #PREFIX + 1) + 6) .. sub(name, #PREFIX + 2)
    if not databases[db] then databases[db] = {} end
    databases[db][name] = true
    return name
  end

  local function set_plain(on)
    unrecorded = on
    E.companion = on and plain_companion or companion
  end

  -- refuse_unrecorded keeps out what other regions have written: without a record it cannot be merged.
  function E.refuse_unrecorded()
    if unrecorded then return {err = 'CRDTPLAIN nothing is recorded here'} end
  end

  -- forget ends a call without a log entry.
  function E.forget()
    for d, names in pairs_(databases) do
      E.select(d)
      for name in pairs_(names) do
        call('UNLINK', name, PREFIX .. char(byte(name, #PREFIX + 1) + 3) .. sub(name, #PREFIX + 2))
      end
    end
    databases = {}
    E.wake()
  end

  -- other_member is the name of another region that is a member, if there is one. What one may have must not be thrown away.
  local function other_member(id)
    local all = call('HGETALL', PREFIX .. 'members')
    for i = 1, #all, 2 do
      if all[i] ~= 'version' and all[i] ~= tostring_(id) then
        local name = munpack(all[i + 1]).name
        local entry = call('HGET', PREFIX .. 'roster', name)
        if not (entry and cjson.decode(entry).removed) then return name end
      end
    end
  end

  -- restart forgets the region's past, of which nobody else has anything: the data there is now is its beginning.
  local function restart()
    for _, name in pairs_({'log', 'self', 'epochs', 'frontier', 'context', 'ttl', 'count', 'conflicts', 'newest', 'gc', 'ahead', 'merges', 'flushed', 'held',
      'alive', 'acks', 'members', 'paused', 'collected', 'quarantined', 'reentry', 'sweep', 'cut', 'shipped', 'heard', 'plain'}) do
      call('DEL', PREFIX .. name)
    end
  end

  -- arm_as says what arming in a mode means for the record, or answers an error.
  function E.arm_as(mode, id)
    local state = call('GET', PLAIN)
    if mode == 'record' then
      local other = other_member(id)
      if other then return {err = 'CRDTMEMBER region ' .. other .. ' is a member, which may have something of the record. Remove it first'} end
      if state ~= 'soon' then return {err = 'CRDTPLAIN somebody may write past the engine'} end
      restart()
      state = false
    elseif mode == 'shadow' then
      local other = other_member(id)
      if other then return {err = 'CRDTMEMBER region ' .. other .. ' is a member: its effects would be lost. Remove it first'} end
      if not state and call('EXISTS', SELF) == 0 then
        state = 'yes'
        call('SET', PLAIN, state)
      end
    elseif state then
      return {err = 'CRDTPLAIN no metadata is recorded here: passive proxies are in front of this Redis, or were the last that were'}
    end
    set_plain(state and true or nil)
  end

  -- FCALL anabranch_plain: somebody is about to write past the engine.
  function E.plain_call()
    E.init()
    local self = call('GET', SELF)
    if not self then return {ok = 'OK'} end
    local other = other_member(munpack(self).region)
    if other then return {err = 'CRDTMEMBER region ' .. other .. ' is a member, which would miss what is written past the engine. Remove it first'} end
    call('SET', PLAIN, 'yes')
    set_plain(true)
    return {ok = 'OK'}
  end
end
