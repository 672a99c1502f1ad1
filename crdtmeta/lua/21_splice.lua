-- Changes inside a Redis list, by position, of which Redis has none: of the values and of their places alike.

do
  local NEAR = 500 -- so many elements are taken off an end and put back before anything cleverer pays

  function E.reversed(list)
    local out, n = {}, #list
    for i = 1, n do out[i] = list[n + 1 - i] end
    return out
  end

  -- add_block adds count elements from position at on to a list of blocks {position, count}; blocks that touch become one.
  function E.add_block(blocks, at, count)
    local last = blocks[#blocks]
    if last and last[1] + last[2] == at then last[2] = last[2] + count else blocks[#blocks + 1] = {at, count} end
  end

  -- push_reversed adds a list before the head.
  local function push_reversed(k, list)
    E.in_parts(call, 'LPUSH', k, E.reversed(list))
  end

  -- splice replaces the c elements from position p on of a list of n, by taking off and putting back the shorter side.
  local function splice(k, n, p, c, list)
    local tail = n - p - c
    if p <= tail then
      local side = p > 0 and call('LRANGE', k, 0, p - 1) or {}
      if p + c > 0 then call('LTRIM', k, p + c, -1) end
      push_reversed(k, list)
      push_reversed(k, side)
    else
      local side = tail > 0 and call('LRANGE', k, p + c, -1) or {}
      if tail + c > 0 then call('LTRIM', k, 0, p - 1) end
      E.in_parts(call, 'RPUSH', k, list)
      E.in_parts(call, 'RPUSH', k, side)
    end
  end

  -- hole is a value that no list has.
  local function hole()
    return PREFIX .. 'hole:' .. origin .. ':' .. format('%.0f', t)
  end

  -- insert_at puts a list into a list of n elements, before position p. Redis cannot, so either the shorter side is taken
  -- off and put back, or the element at p is away for a moment. LINSERT passes an element in an 80th of the time that it
  -- takes to move one.
  function E.insert_at(k, n, p, list)
    local side = p < n - p and p or n - p
    if side <= NEAR or side * 80 < #list * p then
      splice(k, n, p, 0, list)
      return
    end
    local old, mark = call('LINDEX', k, p), hole()
    call('LSET', k, p, mark)
    for i = 1, #list do call('LINSERT', k, 'BEFORE', mark, list[i]) end
    call('LSET', k, p + #list, old)
  end

  -- cut_blocks removes blocks {position, count}, in ascending order, from a list of n elements.
  function E.cut_blocks(k, n, blocks)
    local list, total = {}, 0
    for i = 1, #blocks do
      total = total + blocks[i][2]
      E.add_block(list, blocks[i][1], blocks[i][2])
    end
    if total == 0 then return end
    if total == n then
      call('UNLINK', k)
      return
    end
    local last, first, gone = list[#list], list[1], 0
    if last[1] + last[2] == n then
      call('LTRIM', k, 0, last[1] - 1)
      n, total, list[#list] = last[1], total - last[2], nil
    end
    if #list > 0 and first[1] == 0 then
      call('LTRIM', k, first[2], -1)
      gone = first[2]
      n, total = n - gone, total - gone
    end
    if total == 0 then return end
    local from = gone > 0 and 2 or 1
    local low, high = list[from][1] - gone, list[#list][1] + list[#list][2] - gone
    local side = low < n - high and low or n - high
    if from == #list and (side <= NEAR or side < 2 * total) then
      splice(k, n, low, total, {})
      return
    end
    local mark = hole()
    for i = from, #list do
      for p = list[i][1] - gone, list[i][1] - gone + list[i][2] - 1 do call('LSET', k, p, mark) end
    end
    call('LREM', k, low <= n - high and total or 0 - total, mark)
  end
end
