-- Cells: the unit that merges. A string key, a hash field, a set member and a sorted-set member each are one.
--
-- A cell is {w = live writes, s = counter shares, x = tombstone}; a record also has T, y, c, p and b (docs/engine.md, 2).
-- The cell of a HyperLogLog has e and j besides: its removals, and the newest of the writes that are joined in it.
-- A write is {origin, t, op, value or false, removes-ttl}. A share is {t0, op0, t, op, sum, offt, offop, offsum, float}.
-- Groups of streams have cells of their own kind (45_groups.lua). This file is the one place that decides what survives and
-- which value is shown.

local EMPTY_RECORD

do
  -- decode and encode translate between a companion's bytes and a cell.
  function E.decode(raw)
    local kind, a, b, c = munpack(raw)
    if kind == 1 then return {w = {{a, b, c, false, true}}} end
    if kind == 3 then return {w = {}, x = {a, b, c}} end
    if not a.w then a.w = {} end
    return a
  end

  -- bare says that a cell has nothing but writes or a tombstone.
  local function bare(cell)
    for name in next_, cell do
      if name ~= 'w' and name ~= 'x' then return false end
    end
    return true
  end

  function E.encode(cell)
    local w = cell.w
    if bare(cell) then
      if #w == 1 and w[1][4] == false and w[1][5] then return mpack(1, w[1][1], w[1][2], w[1][3]) end
      if #w == 0 then
        if cell.x then return mpack(3, cell.x[1], cell.x[2], cell.x[3]) end
        EMPTY_RECORD = EMPTY_RECORD or mpack(2, {})
        return EMPTY_RECORD
      end
    end
    if #w > 0 then cell.x = nil end
    return mpack(2, cell)
  end

  -- seen says whether a stamp is in the context of the effect at work. A local command has seen everything that is
  -- here; data without a stamp (origin "") is known to all.
  function E.seen(o, at, n)
    local r = remote
    if not r or o == '' then return true end
    -- An effect has also seen itself: should a call be applied twice after a failure, it replaces what it left.
    if o == r.o then return at < r.t or (at == r.t and n <= r.op) end
    local top = r.seen[o]
    return top ~= nil and at <= top
  end

  local function origin_after(a, b)
    if a == b or a == '' then return false end
    if b == '' then return true end
    local ra, sa, ca, xa = match(a, '^(%d+)%.(%d+)%.(%d+)%-(%x+)$')
    local rb, sb, cb, xb = match(b, '^(%d+)%.(%d+)%.(%d+)%-(%x+)$')
    if ra ~= rb then return tonumber_(ra) > tonumber_(rb) end
    if sa ~= sb then return tonumber_(sa) > tonumber_(sb) end
    if ca ~= cb then return tonumber_(ca) > tonumber_(cb) end
    return tonumber_(xa, 16) > tonumber_(xb, 16)
  end

  -- after is the total order of stamps: (t, op, region, epoch).
  function E.after(a, b)
    if a[2] ~= b[2] then return a[2] > b[2] end
    if a[3] ~= b[3] then return a[3] > b[3] end
    return origin_after(a[1], b[1])
  end

  function E.winner(cell)
    local w = cell.w
    local best = w[1]
    for i = 2, #w do
      if E.after(w[i], best) then best = w[i] end
    end
    return best
  end

  local function share_live(s)
    return s[3] > s[6] or (s[3] == s[6] and s[4] > s[7])
  end
  E.share_live = share_live

  local function shares_live(cell)
    if cell.s then
      for _, s in pairs_(cell.s) do
        if share_live(s) then return true end
      end
    end
    return false
  end
  E.shares_live = shares_live

  function E.live(cell)
    return #cell.w > 0 or shares_live(cell)
  end

  -- newest is the highest live stamp of a cell, or nil.
  function E.newest(cell)
    local best = E.winner(cell)
    if cell.s then
      for o, s in pairs_(cell.s) do
        if share_live(s) then
          local stamp = {o, s[3], s[4]}
          if not best or E.after(stamp, best) then best = stamp end
        end
      end
    end
    return best
  end

  -- end_registers ends a HyperLogLog and keeps the removal's stamp. The writes in it are joined, so none can be taken out
  -- alone: an effect either names the cell, which ends all of it, or leaves it as it is. A local one names what lives.
  local function end_registers(cell, named)
    local o, at, n = origin, t, op + 1
    if remote then
      if not named then return end
      o, at, n = remote.o, remote.t, remote.op
    elseif #cell.w == 0 then
      return
    end
    cell.w, cell.j, cell.e[o] = {}, {}, {at, n}
  end

  -- reset is what every write and every removal does to a cell: it takes away the writes that the effect has seen,
  -- and subtracts the seen part of each share. given lists what the effect's origin had seen of shares:
  -- {o, t0, op0, t, op, sum}… A local effect resets its cells before it is emitted.
  function E.reset(cell, given)
    if cell.e then return end_registers(cell, given) end
    local w, kept = cell.w, 0
    local all = #w
    for i = 1, all do
      local x = w[i]
      if not E.seen(x[1], x[2], x[3]) then
        kept = kept + 1
        w[kept] = x
      end
    end
    for i = all, kept + 1, -1 do w[i] = nil end
    if cell.g then E.forget_creations(cell) end
    local shares = cell.s
    if not shares then return end
    for o, s in pairs_(shares) do
      if E.seen(o, s[3], s[4]) then s[6], s[7], s[8] = s[3], s[4], s[5] end
    end
    if not given then return end
    for i = 1, #given do
      local g = given[i]
      local s = shares[g[1]]
      if s and s[1] == g[2] and s[2] == g[3] and (g[4] > s[6] or (g[4] == s[6] and g[5] > s[7])) then
        s[6], s[7], s[8] = g[4], g[5], g[6]
      end
    end
  end

  -- reset_field resets the cell of a field. A list's element goes with the write that made it, whatever LSET has written
  -- since; as long as an effect has not seen it made, it has not seen what LSET wrote either.
  function E.reset_field(field, cell, given)
    if byte(field, 1) ~= 108 then
      E.reset(cell, given)
    elseif E.seen(E.made(sub(field, 2))) then
      cell.w = {}
    end
  end

  -- offsets appends the live shares of a cell, as a local command sees them, to a flat offsets list. A share of nobody
  -- names a HyperLogLog.
  function E.offsets(cell, field, list)
    if cell.e and #cell.w > 0 then
      for _, v in pairs_({field, '', 0, 0, 0, 0, 0}) do list[#list + 1] = v end
    end
    if cell.s then
      for o, s in pairs_(cell.s) do
        if share_live(s) then
          local n = #list
          list[n + 1], list[n + 2], list[n + 3], list[n + 4] = field, o, s[1], s[2]
          list[n + 5], list[n + 6], list[n + 7] = s[3], s[4], s[5]
        end
      end
    end
    return list
  end

  -- by_field turns a flat offsets list into field → list for reset.
  function E.by_field(list)
    local map = {}
    for i = 1, #list, 7 do
      local field = list[i]
      local of = map[field]
      if not of then
        of = {}
        map[field] = of
      end
      of[#of + 1] = {list[i + 1], list[i + 2], list[i + 3], list[i + 4], list[i + 5], list[i + 6]}
    end
    return map
  end

  -- Arithmetic. A sum is a number while it is an exact integer, else the decimal string that Redis computed.

  local function text(n)
    if type_(n) == 'number' then return format('%.0f', n) end
    return n
  end

  local function negated(n)
    if type_(n) == 'number' then return 0 - n end
    if byte(n) == 45 then return sub(n, 2) end
    return '-' .. n
  end

  local function whole(s)
    return find(s, '^%-?%d+$') ~= nil
  end

  -- clipped is by which rule a sum became a number that it is not, since a merge last set it to nil (60_ledger.lua).
  E.clipped = nil
  local SATURATED, UNDEFINED = 'a sum stays within 64 bits', 'an undefined sum is 0'

  -- redis_add lets Redis add two decimals: 64-bit integers saturate, floats are Redis's long doubles, an infinite or
  -- undefined result is 0. It answers nil when a is not a number; Redis counts on no infinite one either.
  local function redis_add(a, b, float)
    if find(a, '^[-+]?[iI][nN][fF]') then return nil end
    call('SET', SCRATCH, a)
    local result
    if not float and whole(a) and whole(b) then
      local reply = try('INCRBY', SCRATCH, b)
      if type_(reply) == 'number' then
        result = call('GET', SCRATCH)
      elseif find(reply.err, 'overflow', 1, true) then
        result, E.clipped = byte(b) == 45 and '-9223372036854775808' or '9223372036854775807', SATURATED
      end
    end
    if not result then
      local reply = try('INCRBYFLOAT', SCRATCH, b)
      if type_(reply) == 'string' then
        result = reply
      elseif find(reply.err, 'NaN', 1, true) then
        result, E.clipped = '0', UNDEFINED
      end
    end
    call('DEL', SCRATCH)
    return result
  end

  -- number gives the exact integer that a string spells the way Redis would, or nil.
  local function number(s)
    local n = tonumber_(s)
    if n and n > -EXACT and n < EXACT and s ~= '-0' and format('%.0f', n) == s then return n end
  end

  function E.add(a, b, float)
    if float then return redis_add(text(a), text(b), true) end
    if type_(a) == 'number' and type_(b) == 'number' then
      local sum = a + b
      if sum > -EXACT and sum < EXACT then return sum end
    end
    local result = redis_add(text(a), text(b))
    return number(result) or result
  end

  -- amount reads a client's increment into the form of a sum.
  function E.amount(s)
    return number(s) or s
  end

  function E.negative(n)
    return negated(n)
  end

  function E.too_large(sum)
    local n = tonumber_(sum)
    return n > SHARE_LIMIT or n < -SHARE_LIMIT
  end

  local function origins(shares)
    local list = {}
    for o in pairs_(shares) do list[#list + 1] = o end
    sort(list, function(a, b) return origin_after(b, a) end)
    return list
  end

  -- part is what a live share adds.
  function E.part(s)
    if s[6] == 0 then return s[5] end
    return E.add(s[5], negated(s[8]), s[9])
  end

  -- value is what a string or hash field shows: the shown write, plus every share's part that no reset has seen.
  function E.value(cell)
    local write = E.winner(cell)
    local base = write and write[4]
    if not cell.s then return base end
    local total, float, live = 0, false, false
    local order = origins(cell.s)
    for i = 1, #order do
      local s = cell.s[order[i]]
      if share_live(s) then
        live, float = true, float or s[9]
        total = E.add(total, E.part(s), float)
      end
    end
    if not write then return text(total) end
    if float then return redis_add(base, text(total), true) or base end
    if not live then return base end
    -- A base like "3.0e3" under integer shares is added up as a float, also when the shares come to nothing: that is
    -- what INCR shows where the sum was an integer on the way.
    local n = number(base)
    if n and total == 0 then return base end
    if n and type_(total) == 'number' and n + total > -EXACT and n + total < EXACT then return format('%.0f', n + total) end
    return redis_add(base, text(total)) or base
  end

  -- score is the same for a sorted-set member: doubles, added in origin order.
  function E.score(cell)
    local write = E.winner(cell)
    local total = write and tonumber_(write[4]) or 0
    if cell.s then
      local order = origins(cell.s)
      for i = 1, #order do
        local s = cell.s[order[i]]
        if s[6] == 0 then total = total + s[5]
        elseif share_live(s) then total = total + (s[5] - s[8]) end
      end
    end
    if total ~= total then total, E.clipped = 0, UNDEFINED end
    return format('%.17g', total)
  end

  -- bump adds delta to this region's share of a cell, as the effect that will be emitted next. It answers the share and
  -- its start as the effect names it: 0, 0 for a share that starts now.
  function E.bump(cell, delta, plus, float)
    local shares = cell.s
    cell.z = nil
    if not shares then
      shares = {}
      cell.s = shares
    end
    local s = shares[origin]
    if s and share_live(s) then
      s[9] = s[9] or float
      s[5] = plus(s[5], delta, s[9])
      s[3], s[4] = t, op + 1
      return s, s[1], s[2]
    end
    s = {t, op + 1, t, op + 1, delta, 0, 0, 0, float}
    shares[origin] = s
    return s, 0, 0
  end

  function E.plus(a, b) return a + b end

  -- settle looks for a sum of this region's share with which the registers show exactly what Redis replied: adding up a
  -- share first and the base last may differ from Redis's order of additions in the last digit. It answers whether it
  -- found one; if not, the true sum stays, and what the registers show counts.
  function E.settle(cell, s, reply, value, plus)
    local v, was = value(cell), s[5]
    if v == reply then return true end
    s[5] = plus(was, plus(reply, negated(v)))
    if s[5] == s[5] and value(cell) == reply then return true end
    s[5] = s[8]
    s[5] = plus(plus(reply, negated(value(cell))), s[8])
    if s[5] == s[5] and value(cell) == reply then return true end
    s[5] = was
    return false
  end

  function E.add_floats(a, b) return E.add(a, b, true) end

  -- take_share is the receiving side of an increment.
  function E.take_share(cell, t0, op0, sum, float)
    local r = remote
    if t0 == 0 then t0, op0 = r.t, r.op end
    local shares = cell.s
    cell.z = nil
    if not shares then
      shares = {}
      cell.s = shares
    end
    local old = shares[r.o]
    if old and old[1] == t0 and old[2] == op0 then
      old[3], old[4], old[5], old[9] = r.t, r.op, sum, float == 1
    else
      shares[r.o] = {t0, op0, r.t, r.op, sum, 0, 0, 0, float == 1}
    end
  end
end
