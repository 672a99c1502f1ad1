-- Sorted sets, and geo which is one: commands of this region. Membership as in sets; ZADD's score is the last
-- writer's, ZINCRBY adds up.

do
  local H, native = E.handlers, E.native

  -- increment records a ZINCRBY that Redis has run. Every region computes the score from the same registers in the same
  -- order, so this one shows the computed score too, where the order of additions makes a difference in the last digit.
  local function increment(S, cell, k, member, delta, old, reply)
    if S.rec.y then E.drop_hidden(S, 'z') end
    if S.void then E.fresh(S) end
    E.based(cell, old)
    local s, t0, op0 = E.bump(cell, delta, E.plus)
    if not E.settle(cell, s, reply, E.score, E.plus) then
      call('ZADD', k, E.score(cell), member)
      reply = call('ZSCORE', k, member)
    end
    E.emit('i', 'z', k, member, t0, op0, s[5], 1)
    S.rec.c = true
    E.put(S, {'z' .. member, E.encode(cell)}, 2, origin, t)
    return reply
  end

  local function current(k, member, cell)
    if E.shares_live(cell) then return nil end
    local old = try('ZSCORE', k, member)
    if type_(old) == 'string' then return old end
  end

  function H.ZINCRBY(argv, i, n)
    local k, member = argv[i + 1], argv[i + 3]
    local S, cell = E.open_cell(k, 'z' .. member)
    local old = current(k, member, cell)
    local reply = native(argv, i, n)
    if type_(reply) == 'table' then return reply end
    return increment(S, cell, k, member, tonumber_(argv[i + 2]), old, reply)
  end

  local OPTION = {NX = true, XX = true, GT = true, LT = true, CH = true, INCR = true}

  local function options(argv, first, last)
    local found
    while first <= last do
      local word = upper(argv[first])
      if not OPTION[word] then break end
      found = found or {}
      found[word] = true
      first = first + 1
    end
    return found, first
  end

  -- changed_by says which members a conditional ZADD or GEOADD wrote, from their scores before and after.
  local function wrote(option, before, after)
    if option.NX then return not before end
    if option.XX and not before then return false end
    if (option.GT or option.LT) and before then return before ~= after end
    return after and true
  end

  function H.ZADD(argv, i, n)
    local k = argv[i + 1]
    local option, p = options(argv, i + 2, i + n - 1)
    if option and option.INCR and p + 1 == i + n - 1 then
      local member = argv[p + 1]
      local S, cell = E.open_cell(k, 'z' .. member)
      local old = current(k, member, cell)
      local reply = native(argv, i, n)
      if type_(reply) ~= 'string' then return reply end
      return increment(S, cell, k, member, tonumber_(argv[p]), old, reply)
    end
    local S = E.open_elements(k)
    local conditional = option and (option.NX or option.XX or option.GT or option.LT)
    local members, before = {}, nil
    if conditional then
      for j = p + 1, i + n - 1, 2 do members[#members + 1] = argv[j] end
      if #members > 0 then before = try('ZMSCORE', k, unpack_(members)) end
    end
    local reply = native(argv, i, n)
    if type_(reply) ~= 'number' then return reply end
    local list, at = {}, {}
    if conditional then
      local after = call('ZMSCORE', k, unpack_(members))
      for j = 1, #members do
        if not at[members[j]] and wrote(option, before[j], after[j]) then
          at[members[j]] = true
          list[#list + 1] = members[j]
          list[#list + 1] = after[j]
        end
      end
    else
      for j = p, i + n - 2, 2 do
        local member = argv[j + 1]
        if at[member] then
          list[at[member]] = argv[j]
        else
          list[#list + 1] = member
          list[#list + 1] = argv[j]
          at[member] = #list
        end
      end
    end
    if #list > 0 then E.written(S, 'z', list, 2) end
    return reply
  end

  function H.GEOADD(argv, i, n)
    local k = argv[i + 1]
    local option, p = options(argv, i + 2, i + n - 1)
    local S = E.open_elements(k)
    local members = {}
    for j = p + 2, i + n - 1, 3 do members[#members + 1] = argv[j] end
    local before = #members > 0 and try('ZMSCORE', k, unpack_(members))
    local reply = native(argv, i, n)
    if type_(reply) ~= 'number' then return reply end
    local after = call('ZMSCORE', k, unpack_(members))
    local list, at = {}, {}
    for j = 1, #members do
      if not at[members[j]] and wrote(option or {}, before[j], after[j]) then
        at[members[j]] = true
        list[#list + 1] = members[j]
        list[#list + 1] = after[j]
      end
    end
    if #list > 0 then E.written(S, 'z', list, 2) end
    return reply
  end

  function H.ZREM(argv, i, n)
    local S = E.open_elements(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) == 'number' and reply > 0 then E.removed(S, 'z', E.slice(argv, i + 2, i + n - 1), reply) end
    return reply
  end

  -- A range removal is, as an effect, the removal of the members that were in the range here.
  local function range(read)
    return function(argv, i, n)
      local S = E.open_elements(argv[i + 1])
      local members = n == 4 and try(read, argv[i + 1], argv[i + 2], argv[i + 3])
      local reply = native(argv, i, n)
      if type_(reply) == 'number' and reply > 0 then E.removed(S, 'z', members, #members) end
      return reply
    end
  end
  H.ZREMRANGEBYSCORE = range('ZRANGEBYSCORE')
  H.ZREMRANGEBYLEX = range('ZRANGEBYLEX')
  H.ZREMRANGEBYRANK = range('ZRANGE')

  local function pop(argv, i, n)
    local S = E.open_elements(argv[i + 1])
    local reply = native(argv, i, n)
    if not reply.err and #reply > 0 then
      local members = {}
      for j = 1, #reply, 2 do members[#members + 1] = reply[j] end
      E.removed(S, 'z', members, #members)
    end
    return reply
  end
  H.ZPOPMIN, H.ZPOPMAX = pop, pop

  function H.ZMPOP(argv, i, n)
    local keys = tonumber_(argv[i + 1]) or 0
    local states = E.open_counted(argv, i + 2, keys, i + n - 1)
    local reply = native(argv, i, n)
    if type_(reply) == 'table' and not reply.err and reply[1] then
      local members = {}
      for j = 1, #reply[2] do members[j] = reply[2][j][1] end
      E.removed(states[reply[1]], 'z', members, #members)
    end
    return reply
  end
end
