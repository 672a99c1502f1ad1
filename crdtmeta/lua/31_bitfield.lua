-- BITFIELD: a string edit whose reply may hold integers that Lua numbers cannot carry.

do
  local H, native = E.handlers, E.native

  -- exact_reply recomputes a BITFIELD reply in which an integer is beyond 2^53: the value is an unsigned or signed
  -- field of the string, read bit by bit from the state that the operation left (or, for SET, found).
  local function exact_reply(argv, i, n, reply, before)
    local fields, p, index = {}, i + 2, 0
    local last = i + n - 1
    while p <= last do
      local word = upper(argv[p])
      if word == 'OVERFLOW' then
        p = p + 2
      else
        index = index + 1
        fields[index] = {word, argv[p + 1], argv[p + 2]}
        p = p + (word == 'GET' and 3 or 4)
      end
    end
    -- One field at a time on a scratch copy, so that each intermediate state is the one that its reply came from.
    local function read(text_value, kind, at)
      local bits = tonumber_(sub(kind, 2))
      local offset = byte(at, 1) == 35 and tonumber_(sub(at, 2)) * bits or tonumber_(at)
      local digits = {0}
      local negative = false
      local all = {}
      for b = 0, bits - 1 do
        local position = offset + b
        local value = byte(text_value, floor(position / 8) + 1) or 0
        all[b + 1] = floor(value / 2 ^ (7 - position % 8)) % 2
      end
      if sub(kind, 1, 1) == 'i' and all[1] == 1 then
        negative = true
        for b = 1, bits do all[b] = 1 - all[b] end
      end
      for b = 1, bits do
        local carry = all[b]
        for d = 1, #digits do
          local v = digits[d] * 2 + carry
          digits[d] = v % 10000000
          carry = floor(v / 10000000)
        end
        if carry > 0 then digits[#digits + 1] = carry end
      end
      if negative then
        local carry = 1
        for d = 1, #digits do
          local v = digits[d] + carry
          digits[d] = v % 10000000
          carry = floor(v / 10000000)
        end
        if carry > 0 then digits[#digits + 1] = carry end
      end
      local out = tostring_(digits[#digits])
      for d = #digits - 1, 1, -1 do out = out .. format('%07d', digits[d]) end
      return negative and '-' .. out or out
    end
    if before then call('SET', SCRATCH, before) else call('DEL', SCRATCH) end
    local out = {}
    local overflow = 'WRAP'
    p, index = i + 2, 0
    while p <= last do
      local word = upper(argv[p])
      if word == 'OVERFLOW' then
        overflow = argv[p + 1]
        p = p + 2
      else
        index = index + 1
        local kind, at = argv[p + 1], argv[p + 2]
        local was = call('GET', SCRATCH) or ''
        if word == 'GET' then
          out[index] = reply[index] and read(was, kind, at)
          p = p + 3
        else
          call('BITFIELD', SCRATCH, 'OVERFLOW', overflow, word, kind, at, argv[p + 3])
          local source = word == 'SET' and was or (call('GET', SCRATCH) or '')
          out[index] = reply[index] and read(source, kind, at)
          p = p + 4
        end
      end
    end
    call('DEL', SCRATCH)
    for j = 1, #reply do
      if type_(reply[j]) == 'number' and reply[j] < EXACT and reply[j] > -EXACT then out[j] = reply[j] end
    end
    return out
  end

  -- BITFIELD changes the value only by SET and INCRBY.
  function H.BITFIELD(argv, i, n)
    local before = try('GET', argv[i + 1])
    local S = E.open_local(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) == 'table' and reply.err then return reply end
    local after = call('GET', S.k)
    if after ~= before then
      -- Redis lets a value grow for a write that then fails by OVERFLOW FAIL, and tells neither its AOF nor its replicas.
      if #after > #(before or '') then call('SETRANGE', S.k, #after - 1, sub(after, -1)) end
      E.edited(S)
    else
      for j = i + 2, i + n - 1 do
        local word = upper(argv[j])
        if word == 'SET' or word == 'INCRBY' then
          E.edited(S)
          break
        end
      end
    end
    -- Integers of up to 64 bits: those that a Lua number cannot carry are read again, exactly.
    for j = 1, #reply do
      if type_(reply[j]) == 'number' and (reply[j] >= EXACT or reply[j] <= -EXACT) then return exact_reply(argv, i, n, reply, before) end
    end
    return reply
  end
end
