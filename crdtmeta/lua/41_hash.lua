-- Hashes: commands of this region. A field that is written wins over its concurrent removal; HINCRBY adds up.

do
  local H, native = E.handlers, E.native

  local function hset(argv, i, n)
    local S = E.open_elements(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) == 'table' and reply.err then return reply end
    local list, at = {}, nil
    if n > 4 then at = {} end
    for j = i + 2, i + n - 1, 2 do
      local field = argv[j]
      local p = at and at[field]
      if p then
        list[p] = argv[j + 1]
      else
        list[#list + 1] = field
        list[#list + 1] = argv[j + 1]
        if at then at[field] = #list end
      end
    end
    E.written(S, 'h', list, 2)
    return reply
  end
  H.HSET, H.HMSET = hset, hset

  function H.HSETNX(argv, i, n)
    local S = E.open_elements(argv[i + 1])
    local reply = native(argv, i, n)
    if reply == 1 then E.written(S, 'h', {argv[i + 2], argv[i + 3]}, 2) end
    return reply
  end

  function H.HDEL(argv, i, n)
    local S = E.open_elements(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) == 'number' and reply > 0 then E.removed(S, 'h', E.slice(argv, i + 2, i + n - 1), reply) end
    return reply
  end

  local function count(argv, i, n, delta, float)
    local k, field = argv[i + 1], argv[i + 2]
    local S, cell = E.open_cell(k, 'h' .. field)
    local old
    if not E.shares_live(cell) then
      old = try('HGET', k, field)
      if type_(old) == 'table' then old = nil end
    end
    local reply = native(argv, i, n)
    if type_(reply) == 'table' then return reply end
    if S.rec.y then E.drop_hidden(S, 'h') end
    delta = delta(argv[i + 3])
    local share = cell.s and cell.s[origin]
    if E.too_large(delta) or (share and E.too_large(E.add(share[5], delta, share[9] or float == 1))) then
      E.written(S, 'h', {field, call('HGET', k, field)}, 2)
      cell = {w = {}}
    else
      if S.void then E.fresh(S) end
      E.based(cell, old)
      local s, t0, op0 = E.bump(cell, delta, E.add, float == 1)
      if float == 1 and not E.settle(cell, s, reply, E.value, E.add_floats) then
        reply = E.value(cell)
        call('HSET', k, field, reply)
      end
      E.emit('i', 'h', k, field, t0, op0, s[5], s[9] and 1 or 0)
      S.rec.c = true
      E.put(S, {'h' .. field, E.encode(cell)}, 2, origin, t)
    end
    if float == 0 and (reply >= EXACT or reply <= -EXACT) then
      local shown, v = call('HGET', k, field), E.value(cell)
      if v and cell.s and v ~= shown then
        call('HSET', k, field, v)
        shown = v
      end
      return shown
    end
    return reply
  end

  function H.HINCRBY(argv, i, n) return count(argv, i, n, E.amount, 0) end
  function H.HINCRBYFLOAT(argv, i, n) return count(argv, i, n, E.plain_float, 1) end
end
