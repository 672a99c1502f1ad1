-- Streams: commands of this region on entries. Adding wins over a concurrent removal; of two entries with one id, which
-- only ids given by clients can make, the last writer's is shown.

do
  local H, native = E.handlers, E.native

  -- add_options finds the id of an XADD and what it says of trimming, as Redis reads it. at is nil where Redis will refuse the
  -- command; trim is from the first to the last word about trimming.
  local function add_options(argv, i, n, adds)
    local o, p, last = {}, i + 2, i + n - 1
    while p <= last do
      local word = upper(argv[p])
      local more = last - p
      if (word == 'MAXLEN' or word == 'MINID') and more > 0 then
        if o.trim then return o end
        o.trim, o.from = word, p
        if more > 1 and (argv[p + 1] == '~' or argv[p + 1] == '=') then
          o.rough = argv[p + 1] == '~'
          p = p + 1
        end
        o.threshold = argv[p + 1]
        p = p + 2
        o.to = p - 1
      elseif word == 'LIMIT' and more > 0 then
        o.limit_at = p
        p = p + 2
      elseif adds and word == 'NOMKSTREAM' then
        p = p + 1
      elseif adds then
        o.at = p
        return o
      else
        return o
      end
    end
    o.complete = true
    return o
  end

  -- oldest reads the ids that trimming may take away, before it does. adds is how many entries come before the trimming.
  local function oldest(k, o, adds)
    local length = try('XLEN', k)
    if type_(length) ~= 'number' or length == 0 then return {}, 0 end
    local all
    if o.trim == 'MAXLEN' then
      local most = tonumber_(o.threshold)
      if not most or most < 0 then return {}, length end
      local count = length + adds - most
      if count <= 0 then return {}, length end
      all = try('XRANGE', k, '-', '+', 'COUNT', format('%.0f', count < length and count or length))
    else
      all = try('XRANGE', k, '-', '(' .. (find(o.threshold, '-', 1, true) and o.threshold or o.threshold .. '-0'))
    end
    local ids = {}
    for j = 1, #all do ids[j] = all[j][1] end
    return ids, length
  end

  -- too_early says of a rough trimming, which takes whole nodes only, that there is less to trim than an average node holds: so
  -- an XADD need not look which entries it would be each time.
  local function too_early(k, o)
    if not o.rough or o.trim ~= 'MAXLEN' then return false end
    local info, most = E.stream_info(k), tonumber_(o.threshold)
    if not info or not most or info['radix-tree-keys'] == 0 then return false end
    return info.length + 1 - most < info.length / info['radix-tree-keys']
  end

  local function trimmed(S, ids, count)
    if count > 0 then E.removed(S, 'x', E.slice(ids, 1, count), count) end
  end

  local made_ms, made_seq = 0, '0' -- the newest id that this library made, in whatever stream

  -- completed gives the id of an XADD that leaves it to the server, all of it or the sequence; nil where the client's word
  -- stands, and an error where the mode forbids it.
  local function completed(k, word)
    local first = E.first_sequence(origin)
    if word == '*' then
      if now > made_ms then made_ms, made_seq = now, format('%.0f', first) else made_seq = E.next_sequence(made_seq, first) end
      return format('%.0f-', made_ms) .. made_seq
    end
    if E.xadd_ids == 'liberal' then return nil end
    local ms = match(word, '^0*(%d+)$') or match(word, '^0*(%d+)%-%*$')
    if not ms then
      if E.xadd_ids == 'strict' and find(word, '^%d+%-%d+$') then
        return nil, {err = 'ERR XADD takes no complete ID in strict mode, it may be used in another region: use * or milliseconds'}
      end
      return nil
    end
    local info = E.stream_info(k)
    local last, seq = E.id_split(info and info['last-generated-id'] or '0-0')
    if last ~= ms then return ms .. '-' .. first end
    return ms .. '-' .. (E.next_sequence(seq, first) or seq)
  end

  function H.XADD(argv, i, n)
    local k = argv[i + 1]
    local o = add_options(argv, i, n, true)
    local at = o.at
    if not at or (i + n - 1 - at) % 2 ~= 0 or at == i + n - 1 then return native(argv, i, n) end
    local S = E.open_elements(k)
    local new = S.rec.q and call('EXISTS', k) == 0
    local id, refused = completed(k, argv[at])
    if refused then return refused end
    local words, place = E.slice(argv, i, i + n - 1), at - i + 1
    if id then words[place] = id end
    local ids, length
    if o.trim and not o.limit_at and too_early(k, o) then
      for p = o.to, o.from, -1 do table.remove(words, p - i + 1) end
      place = place - (o.to - o.from + 1)
    elseif o.trim then
      ids, length = oldest(k, o, 1)
    end
    local reply = native(words, 1, #words)
    if type_(reply) == 'table' and argv[at] == '*' and find(reply.err, 'equal or smaller', 1, true) then
      -- The stream is ahead of the clock.
      words[place] = E.id_above(E.stream_info(k)['last-generated-id'], now, E.first_sequence(origin)) or '*'
      reply = native(words, 1, #words)
    end
    if type_(reply) ~= 'string' then return reply end
    if new then E.drop_groups(S) end
    E.written(S, 'x', {'', '', reply, mpack(E.slice(argv, at + 1, i + n - 1))}, 2)
    if ids then
      ids[#ids + 1] = reply
      trimmed(S, ids, length + 1 - call('XLEN', k))
    end
    return reply
  end

  function H.XTRIM(argv, i, n)
    local k = argv[i + 1]
    local o = add_options(argv, i, n, false)
    local S = E.open_elements(k)
    local ids
    if o.complete and o.trim then ids = oldest(k, o, 0) end
    local reply = native(argv, i, n)
    if ids and type_(reply) == 'number' then trimmed(S, ids, reply) end
    return reply
  end

  -- exact gives the id of an entry as Redis prints it, or nil when there is no such entry.
  local function exact(k, word)
    if find(word, '^[1-9]%d*%-[1-9]%d*$') then return word end
    local full = find(word, '-', 1, true) and word or word .. '-0'
    local found = try('XRANGE', k, full, full)
    return found[1] and found[1][1]
  end

  function H.XDEL(argv, i, n)
    local k = argv[i + 1]
    local S = E.open_elements(k)
    local ids = {}
    for j = i + 2, i + n - 1 do ids[#ids + 1] = exact(k, argv[j]) end
    local reply = native(argv, i, n)
    if type_(reply) == 'number' and reply > 0 then E.removed(S, 'x', ids, reply) end
    return reply
  end

  -- The last id only grows, or two regions could give one id twice.
  function H.XSETID(argv, i, n)
    local k = argv[i + 1]
    local S = E.open_elements(k)
    local before = E.stream_info(k)
    local reply = native(argv, i, n)
    if type_(reply) == 'table' and reply.err then return reply end
    local last = before['last-generated-id']
    local now_last = E.stream_info(k)['last-generated-id']
    if E.id_before(now_last, last) then
      call('XSETID', k, last, 'ENTRIESADDED', format('%.0f', before['entries-added']), 'MAXDELETEDID', before['max-deleted-entry-id'])
      return {err = 'ERR The ID specified in XSETID is smaller than the target stream top item'}
    end
    if now_last ~= last then
      if S.rec.y then E.drop_hidden(S, 'x') end
      E.emit('g', k, 's', '', now_last)
    end
    return reply
  end
end
