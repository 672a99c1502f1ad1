-- Commands that wait. Nobody waits in here: the handlers do what their namesakes without B do, and answer a null when
-- there is nothing. A proxy with a client that may wait sends XCRDT.TRY, which notes in the same step for which keys the
-- client will wait; the next effect on one of them, local or remote, is announced once on a shard channel, and the proxies
-- try again. What is waited for is gone with the library's memory: arming says so, and everybody tries again.

do
  local H = E.handlers
  local KEPT = 60000         -- ms: a note is kept once or twice as long, so proxies renew theirs more often
  local HISTORY = 1000       -- entries that a waiting XREAD gets when it names no COUNT
  local turned = 0           -- ms at which fading was begun
  local stirred, count = {}, 0 -- "db:key" that somebody waits for and this call has changed
  local requests = {}

  local FLOAT = {err = 'ERR timeout is not a float or out of range'}
  local INTEGER = {err = 'ERR timeout is not an integer or out of range'}
  local NEGATIVE = {err = 'ERR timeout is negative'}
  local SYNTAX = {err = 'ERR syntax error'}

  local function note(k)
    if now - turned >= KEPT or now < turned then
      waiting, fading, turned = {}, waiting, now
    end
    local of = waiting[db]
    if not of then
      of = {}
      waiting[db] = of
    end
    of[k] = true
  end

  local function noted(k)
    local new, old = waiting[db], fading[db]
    return new and new[k] or old and old[k]
  end

  -- stir notes that a key of the selected database has changed, for those who wait for it.
  function E.stir(k)
    if not noted(k) then return end
    local new, old = waiting[db], fading[db]
    if new then
      new[k] = nil
      if not next_(new) then waiting[db] = nil end
    end
    if old then
      old[k] = nil
      if not next_(old) then fading[db] = nil end
    end
    count = count + 1
    stirred[count] = db .. ':' .. k
  end

  -- stir_database does the same for all keys of the selected database.
  function E.stir_database()
    for _, of in pairs_({waiting[db] or {}, fading[db] or {}}) do
      for k in pairs_(of) do
        count = count + 1
        stirred[count] = db .. ':' .. k
      end
    end
    waiting[db], fading[db] = nil, nil
  end

  -- wake announces what was stirred. A message more or less changes no data, so no failure of it may end the call.
  function E.wake()
    if count == 0 then return end
    local parts = {}
    for i = 1, count do parts[i] = #stirred[i] .. ':' .. stirred[i] end
    try('SPUBLISH', WAKE, concat(parts))
    stirred, count = {}, 0
  end

  -- wake_all asks all proxies to try everything again.
  function E.wake_all()
    waiting, fading, stirred, count = {}, {}, {}, 0
    try('SPUBLISH', WAKE, '')
  end

  -- seconds and milliseconds read a timeout as Redis does. They answer it in ms, 0 for ever, or nil and the error.
  local function seconds(text)
    local v = not find(text, '[%s%z]') and tonumber_(text)
    if not v or v ~= v then return nil, FLOAT end
    v = math.ceil(v * 1000)
    if v < 0 or v >= 2 ^ 63 then return nil, NEGATIVE end
    return v
  end

  local function milliseconds(text)
    local v = E.integer(text)
    if not v or v >= 2 ^ 63 or v < -2 ^ 63 then return nil, INTEGER end
    if v < 0 then return nil, NEGATIVE end
    return v
  end

  local function failed(reply, code)
    return type_(reply) == 'table' and reply.err and (not code or find(reply.err, code, 1, true) == 1)
  end

  -- A request is what a command wants: ms, the timeout; type, what its keys must hold; first and count, where they lie in
  -- argv; take(key, j), which tries the jth key and answers nil or false for nothing; once(), which tries all keys as a
  -- new client does, where that is one command; ids(), see XREAD. Wrong arguments make it an error reply instead.

  -- first_of tries the keys in order, as a client does that comes anew.
  local function first_of(q, argv)
    if q.once then return q.once() end
    for j = 1, q.count do
      local reply = q.take(argv[q.first + j - 1], j)
      if reply then return reply end
    end
  end

  -- again tries one key for a client that waits already: that it has another type now is no matter to it.
  local function again(q, argv, j)
    local reply = q.take(argv[q.first + j - 1], j)
    if failed(reply, 'WRONGTYPE') and call('TYPE', argv[q.first + j - 1]).ok ~= q.type then return nil end
    return reply
  end

  -- waits makes the handler of a command of which request reads the arguments.
  local function waits(name, request)
    requests[name] = request
    H[name] = function(argv, i, n)
      local q = request(argv, i, n)
      return q.err and q or first_of(q, argv) or false
    end
  end

  local function list_pop(name)
    return function(argv, i, n)
      local ms, err = seconds(argv[i + n - 1])
      if err then return err end
      return {ms = ms, type = 'list', first = i + 1, count = n - 2, take = function(k)
        local reply = H[name]({name, k}, 1, 2)
        if not reply or failed(reply) then return reply end
        return {k, reply}
      end}
    end
  end
  waits('BLPOP', list_pop('LPOP'))
  waits('BRPOP', list_pop('RPOP'))

  local function score_pop(name)
    return function(argv, i, n)
      local ms, err = seconds(argv[i + n - 1])
      if err then return err end
      return {ms = ms, type = 'zset', first = i + 1, count = n - 2, take = function(k)
        local reply = H[name]({name, k}, 1, 2)
        if failed(reply) then return reply end
        return reply[1] and {k, reply[1], reply[2]}
      end}
    end
  end
  waits('BZPOPMIN', score_pop('ZPOPMIN'))
  waits('BZPOPMAX', score_pop('ZPOPMAX'))

  -- BLMPOP and BZMPOP look at the timeout after everything else, and so before any key: a command without keys that
  -- hold anything finds the other mistakes.
  local function many_pop(name, kind)
    return function(argv, i, n)
      local bare = E.slice(argv, i + 1, i + n - 1)
      bare[1] = name
      local keys = tonumber_(argv[i + 2]) or 0
      local ms, err = seconds(argv[i + 1])
      if err then
        for j = 3, 2 + keys < #bare and 2 + keys or #bare do bare[j] = SCRATCH end
        local reply = E.native(bare, 1, #bare)
        return failed(reply) and reply or err
      end
      return {ms = ms, type = kind, first = i + 3, count = keys, once = function()
        return H[name](bare, 1, #bare)
      end, take = function(k)
        local one = {name, '1', k}
        for j = 3 + keys, #bare do one[#one + 1] = bare[j] end
        return H[name](one, 1, #one)
      end}
    end
  end
  waits('BLMPOP', many_pop('LMPOP', 'list'))
  waits('BZMPOP', many_pop('ZMPOP', 'zset'))

  local function move(name)
    return function(argv, i, n)
      local bare = E.slice(argv, i, i + n - 2)
      bare[1] = name
      for j = 4, #bare do
        local side = upper(bare[j])
        if side ~= 'LEFT' and side ~= 'RIGHT' then return SYNTAX end
      end
      local ms, err = seconds(argv[i + n - 1])
      if err then return err end
      return {ms = ms, type = 'list', first = i + 1, count = 1, take = function()
        return H[name](bare, 1, #bare)
      end}
    end
  end
  waits('BLMOVE', move('LMOVE'))
  waits('BRPOPLPUSH', move('RPOPLPUSH'))

  -- without_block copies an XREAD or XREADGROUP and leaves BLOCK out. It answers the copy, the timeout or nil, the place of
  -- STREAMS in argv, and what the other options say; or nil and an error. Redis reads options in order, so a bad timeout
  -- behind another mistake is not the error, and that other mistake is left to Redis.
  local function without_block(argv, i, n)
    local bare, said, ms, p, last = {upper(argv[i])}, {}, nil, i + 1, i + n - 1
    while p <= last do
      local word, more = upper(argv[p]), last - p
      local width = word == 'NOACK' and 1 or word == 'COUNT' and more >= 1 and 2 or word == 'GROUP' and more >= 2 and 3
      if word == 'BLOCK' and more >= 1 then
        local err
        ms, err = milliseconds(argv[p + 1])
        if err then return nil, err end
        p = p + 2
      elseif width and (word ~= 'COUNT' or E.integer(argv[p + 1])) then
        said[word] = p
        for j = p, p + width - 1 do bare[#bare + 1] = argv[j] end
        p = p + width
      else
        break
      end
    end
    for j = p, last do bare[#bare + 1] = argv[j] end
    if #bare < (bare[1] == 'XREAD' and 4 or 7) then
      -- Without BLOCK it is too short to be looked at, and its mistake is another one.
      table.insert(bare, 2, 'COUNT')
      table.insert(bare, 3, '0')
    end
    return bare, ms, p, said
  end

  -- limit is how many entries a waiting reader gets at most.
  local function limit(argv, said)
    local n = said.COUNT and tonumber_(argv[said.COUNT + 1]) or 0
    return n > 0 and n < EXACT and n or HISTORY
  end

  local function newest_id(k)
    local info = E.stream_info(k)
    return info and info['last-generated-id'] or '0-0'
  end

  waits('XREAD', function(argv, i, n)
    local bare, ms, at, said = without_block(argv, i, n)
    if not bare then return ms end
    local streams = floor((i + n - 1 - at) / 2)
    return {ms = ms, type = 'stream', first = at + 1, count = streams, once = function()
      return try(unpack_(bare))
    end, take = function(k, j)
      return try('XREAD', 'COUNT', limit(argv, said), 'STREAMS', k, argv[at + streams + j])
    end, ids = function()
      -- "$" means the newest entry of this moment also when it is tried again later.
      local ids = {}
      for j = 1, streams do
        local id = argv[at + streams + j]
        ids[j] = id == '$' and newest_id(argv[at + j]) or id
      end
      return ids
    end}
  end)

  local group_read = H.XREADGROUP

  waits('XREADGROUP', function(argv, i, n)
    local bare, ms, at, said = without_block(argv, i, n)
    if not bare then return ms end
    return {ms = ms, type = 'stream', first = at + 1, count = floor((i + n - 1 - at) / 2), once = function()
      return group_read(bare, 1, #bare)
    end, take = function(k)
      local one = {'XREADGROUP', 'GROUP', argv[said.GROUP + 1], argv[said.GROUP + 2], 'COUNT', limit(argv, said), 'STREAMS', k, '>'}
      if said.NOACK then table.insert(one, 7, 'NOACK') end
      if call('TYPE', k).ok ~= 'stream' then return {err = 'UNBLOCKED the stream key no longer exists'} end
      local reply = group_read(one, 1, #one)
      if failed(reply, 'NOGROUP') then
        return {err = 'NOGROUP the consumer group this client was blocked on no longer exists'}
      end
      return reply
    end}
  end)

  -- overtakes says whether one of the keys for which others have waited longer has changed since they looked.
  local function overtakes(which, q, argv)
    for j in string.gmatch(which, ',(%d+)') do
      if not noted(argv[q.first + j - 1]) then return true end
    end
    return false
  end

  -- XCRDT.TRY which command argument…
  -- which is the number of the key that a waiting client tries; or 0 for a new client, which tries all of them, followed by
  -- the numbers of those for which others have waited longer at the same proxy. Answers what the command answers, or
  -- the status WAIT; to a new client with the timeout in ms, 1 when nothing was tried because others come first and
  -- must try now, else 0, and of an XREAD the ids to go on from.
  H['XCRDT.TRY'] = function(argv, i, n)
    local which, nth = argv[i + 1], tonumber_(argv[i + 1])
    local q = requests[upper(argv[i + 2])](argv, i + 2, n - 2)
    if q.err then return q end
    if nth and nth > 0 then
      local reply = again(q, argv, nth)
      if reply then return reply end
      note(argv[q.first + nth - 1])
      return {ok = 'WAIT '}
    end
    local late = overtakes(which, q, argv)
    local reply = not late and first_of(q, argv)
    if reply then return reply end
    if not late then
      for j = 1, q.count do note(argv[q.first + j - 1]) end
    end
    local words = format('WAIT %.0f %d', q.ms, late and 1 or 0)
    if q.ids then words = words .. ' ' .. concat(q.ids(), ' ') end
    return {ok = words}
  end
end
