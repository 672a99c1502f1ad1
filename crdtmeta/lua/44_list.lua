-- Lists: commands of this region. Every element has a place of its own; equal values are different elements.

do
  local H, native = E.handlers, E.native

  -- pushed records that a command put values at a base (22_place.lua) where there were so many elements before.
  function E.pushed(S, base, values, before)
    if S.rec.y then E.drop_hidden(S, 'l') end
    if S.void then E.fresh(S) end
    E.emit('l', S.k, base, values)
    E.push_places(S, base == START and 'LPUSH' or 'RPUSH', E.places(base, origin, t, op, #values), before)
    S.rec.b = nil
    E.put(S, {}, 0, origin, t)
  end

  -- removed records that elements went; their places are out of the list of places already.
  local function removed(S, places, left)
    if S.rec.y then E.drop_hidden(S, 'l') end
    E.emit('d', S.k, places)
    S.rec.b = nil
    if left > 0 and S.form ~= 'h' then E.hash_form(S) end
    E.drop_set(S, places)
    if S.form or S.adopted then E.save(S) end
  end

  -- taken_out records that Redis removed blocks {position, count}, in ascending order, of a list of size elements.
  local function taken_out(S, size, blocks)
    local m, runs = E.open_places(S, size)
    local places, total = {}, 0
    for j = 1, #blocks do
      E.places_of(S, runs, blocks[j][1], blocks[j][2], places)
      total = total + blocks[j][2]
    end
    E.cut_elements(S, size, m, runs, blocks)
    removed(S, places, size - total)
  end

  -- popped records that a command took count elements from one end (side is 'LPOP' or 'RPOP').
  local function popped(S, side, count)
    local left = call('LLEN', S.k)
    local place = count == 1 and S.form == 'h' and call(side, E.places_key(S))
    if place then
      if #place == RUN then
        local first, last = E.cold_range(place)
        if side == 'LPOP' then
          place = E.cold(first, first)
          call('LPUSH', E.places_key(S), E.cold(first + 1, last))
        else
          place = E.cold(last, last)
          call('RPUSH', E.places_key(S), E.cold(first, last - 1))
        end
      end
      if left == 0 then E.count_companion(-1) end
      removed(S, {place}, left)
      return
    end
    taken_out(S, left + count, {{side == 'LPOP' and 0 or left, count}})
  end

  local function push(base)
    return function(argv, i, n)
      local S = E.open_elements(argv[i + 1])
      local reply = native(argv, i, n)
      if type_(reply) == 'number' and reply > 0 then
        E.pushed(S, base, E.slice(argv, i + 2, i + n - 1), reply - (n - 2))
      end
      return reply
    end
  end
  H.LPUSH, H.LPUSHX, H.RPUSH, H.RPUSHX = push(START), push(START), push(END), push(END)

  local function pop(side)
    return function(argv, i, n)
      local S = E.open_elements(argv[i + 1])
      local reply = native(argv, i, n)
      if type_(reply) == 'string' then
        popped(S, side, 1)
      elseif type_(reply) == 'table' and not reply.err and #reply > 0 then
        popped(S, side, #reply)
      end
      return reply
    end
  end
  H.LPOP, H.RPOP = pop('LPOP'), pop('RPOP')

  function H.LMPOP(argv, i, n)
    local keys = tonumber_(argv[i + 1]) or 0
    local states = E.open_counted(argv, i + 2, keys, i + n - 1)
    local reply = native(argv, i, n)
    if type_(reply) == 'table' and not reply.err and reply[1] then
      popped(states[reply[1]], upper(argv[i + 2 + keys]) == 'LEFT' and 'LPOP' or 'RPOP', #reply[2])
    end
    return reply
  end

  -- moved records that an element went from one end of a list to one of another, or of the same list: a removal, and
  -- a new element.
  local function moved(argv, i, n, from_side, to_base)
    local from, to = argv[i + 1], argv[i + 2]
    local S = E.open_elements(from)
    local D = from ~= to and E.open_elements(to) or S
    local reply = native(argv, i, n)
    if type_(reply) ~= 'string' then return reply end
    if from == to then
      local left = call('LLEN', from) - 1
      if left == 0 or (from_side == 'LPOP') == (to_base == START) then return reply end
      taken_out(S, left + 1, {{from_side == 'LPOP' and 0 or left, 1}})
      E.pushed(S, to_base, {reply}, left)
    else
      popped(S, from_side, 1)
      E.pushed(D, to_base, {reply}, call('LLEN', to) - 1)
    end
    return reply
  end

  function H.LMOVE(argv, i, n)
    return moved(argv, i, n, upper(argv[i + 3] or '') == 'LEFT' and 'LPOP' or 'RPOP', upper(argv[i + 4] or '') == 'LEFT' and START or END)
  end

  function H.RPOPLPUSH(argv, i, n)
    return moved(argv, i, n, 'RPOP', START)
  end

  -- LINSERT puts an element on the right side of the one before it or on the left side of the one after it, whichever
  -- makes the shorter place. Either is next to it: an own stamp is above all that was seen.
  function H.LINSERT(argv, i, n)
    local k = argv[i + 1]
    local S = E.open_elements(k)
    local p = n == 5 and try('LPOS', k, argv[i + 3])
    local reply = native(argv, i, n)
    if type_(reply) ~= 'number' or reply <= 0 then return reply end
    local before = reply - 1
    if upper(argv[i + 2]) == 'AFTER' then p = p + 1 end
    if p == 0 or p == before then
      E.pushed(S, p == 0 and START or END, {argv[i + 4]}, before)
      return reply
    end
    if S.rec.y then E.drop_hidden(S, 'l') end
    local m, runs = E.open_places(S, before)
    local left = E.places_of(S, runs, p - 1, 1, {})[1]
    local right = E.places_of(S, runs, p, 1, {})[1]
    local base = #right < #left and right .. '@' or left .. '\128'
    E.emit('l', k, base, {argv[i + 4]})
    E.add_places(S, before, m, runs, p, E.places(base, origin, t, op, 1))
    S.rec.b = nil
    E.put(S, {}, 0, origin, t)
    return reply
  end

  -- The last LSET of an element wins over concurrent ones; its removal wins over all.
  function H.LSET(argv, i, n)
    local k = argv[i + 1]
    local S = E.open_elements(k)
    local reply = native(argv, i, n)
    if type_(reply) ~= 'table' or not reply.ok then return reply end
    if S.rec.y then E.drop_hidden(S, 'l') end
    local size, p = call('LLEN', k), tonumber_(argv[i + 2])
    if p < 0 then p = p + size end
    local _, runs = E.open_places(S, size)
    local place = E.places_of(S, runs, p, 1, {})[1]
    E.emit('L', k, place, argv[i + 3])
    S.rec.b = nil
    E.put(S, {'l' .. place, stamp_prefix .. (packed_op[op] or mpack(op))}, 2, origin, t)
    return reply
  end

  function H.LREM(argv, i, n)
    local k, count = argv[i + 1], n == 4 and tonumber_(argv[i + 2])
    local S = E.open_elements(k)
    local positions
    if count then
      -- Counts that a Lua number cannot carry mean all.
      local most = count < 0 and 0 - count or count
      positions = try('LPOS', k, argv[i + 3], 'RANK', count < 0 and -1 or 1, 'COUNT', most < EXACT and format('%.0f', most) or 0)
    end
    local reply = native(argv, i, n)
    if type_(reply) ~= 'number' or reply == 0 then return reply end
    sort(positions)
    local blocks = {}
    for j = 1, #positions do E.add_block(blocks, positions[j], 1) end
    taken_out(S, call('LLEN', k) + reply, blocks)
    return reply
  end

  function H.LTRIM(argv, i, n)
    local k = argv[i + 1]
    local S = E.open_elements(k)
    local size = try('LLEN', k)
    local reply = native(argv, i, n)
    if type_(reply) ~= 'table' or not reply.ok then return reply end
    local left = call('LLEN', k)
    if left == size then return reply end
    local first = tonumber_(argv[i + 2])
    if first < 0 then first = first + size end
    if left == 0 or first < 0 then first = 0 end
    local blocks = {}
    if first > 0 then blocks[1] = {0, first} end
    if first + left < size then blocks[#blocks + 1] = {first + left, size - first - left} end
    taken_out(S, size, blocks)
    return reply
  end
end
