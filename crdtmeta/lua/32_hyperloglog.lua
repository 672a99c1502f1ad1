-- HyperLogLogs: commands of this region. What regions add is joined register by register, and a removal wins.
--
-- To Redis a HyperLogLog is a string. Here it has a cell of its own, "p": {w = the newest of the writes that are joined,
-- e = map origin → {t, op} of the newest removal, j = map origin → t of the newest write that is joined}. A string that
-- happens to hold one becomes such a cell with the first PFADD or PFMERGE on it.

do
  local H, native = E.handlers, E.native
  local OTHER = SCRATCH .. '2'

  function E.no_registers()
    return {w = {}, e = {}, j = {}}
  end

  -- registers_of reads the cell of an open key.
  function E.registers_of(S)
    return E.stored_cell(S, 'p') or E.no_registers()
  end

  -- are_registers says whether the value v of key k is a HyperLogLog that every region can join. Naming the key twice keeps
  -- PFCOUNT from writing the cardinality into it.
  function E.are_registers(k, v)
    return sub(v, 1, 4) == 'HYLL' and type_(try('PFCOUNT', k, k)) == 'number'
  end

  -- join_into joins a value with what a key holds. It answers whether the key could take it.
  function E.join_into(k, v)
    call('SET', SCRATCH, v)
    local reply = try('PFMERGE', k, SCRATCH)
    call('DEL', SCRATCH)
    return reply.ok ~= nil
  end

  -- join makes one of the writes of a cell whose values are all there.
  function E.join(cell)
    local w = cell.w
    if #w < 2 or E.hollow(cell) then return end
    local top = E.winner(cell)
    call('SET', OTHER, w[1][4])
    for i = 2, #w do E.join_into(OTHER, w[i][4]) end
    cell.w = {{top[1], top[2], top[3], call('GET', OTHER), true}}
    call('DEL', OTHER)
  end

  -- joined records that registers were added to a key: v holds at least those that changed. What a clash of types has hidden
  -- of the HyperLogLog itself is shown again.
  function E.joined(S, cell, v)
    local rec = S.rec
    local hidden = not E.shows_registers(rec) and cell.w or {}
    if rec.y or rec.b or E.live(rec) then E.drop_hidden(S, 'p') end
    if S.void then E.fresh(S) end
    E.emit('p', S.k, v)
    for i = 1, #hidden do E.join_into(S.k, hidden[i][4]) end
    cell.w, cell.j[origin] = {{origin, t, op, false, true}}, t
    rec.c, rec.p = true, true
    E.put(S, {'p', E.encode(cell)}, 2, origin, t)
  end

  -- open opens a key for a command that adds registers. whole says that its value is a string so far, all of which an effect
  -- must carry.
  local function open(k)
    local S = E.open_elements(k)
    local exists = call('EXISTS', k) == 1
    return S, exists, exists and not E.shows_registers(S.rec)
  end

  -- apart is the value that a command makes of a new key.
  local function apart(command, list)
    call('DEL', SCRATCH)
    local last = #list
    for i = 1, last > 0 and last or 1, 4000 do
      call(command, SCRATCH, unpack_(list, i, i + 3999 < last and i + 3999 or last))
    end
    local v = call('GET', SCRATCH)
    call('DEL', SCRATCH)
    return v
  end

  -- record tells what a command has added. PFADD also takes a string that PFMERGE would not, such as one with a tail: that
  -- stays a string.
  local function record(S, whole, command, list)
    local v = whole and call('GET', S.k) or apart(command, list)
    if whole and not E.are_registers(S.k, v) then
      E.edited(S)
    else
      E.joined(S, E.registers_of(S), v)
    end
  end

  function H.PFADD(argv, i, n)
    local S, _, whole = open(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) == 'table' or reply == 0 then return reply end
    record(S, whole, 'PFADD', E.slice(argv, i + 2, i + n - 1))
    return 1
  end

  function H.PFMERGE(argv, i, n)
    for j = i + 2, i + n - 1 do E.open_local(argv[j]) end
    local S, exists, whole = open(argv[i + 1])
    local sources = n > 2 and n <= 7000 and call('EXISTS', unpack_(argv, i + 2, i + n - 1)) or 0
    local reply = native(argv, i, n)
    if reply.err or (exists and sources == 0) then return reply end
    record(S, whole, 'PFMERGE', E.slice(argv, i + 2, i + n - 1))
    return reply
  end
end
