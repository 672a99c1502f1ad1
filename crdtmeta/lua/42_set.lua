-- Sets: commands of this region. Adding wins over a concurrent removal.

do
  local H, native = E.handlers, E.native

  -- An element that is there already counts as added once more: its concurrent removal elsewhere has not seen this.
  function H.SADD(argv, i, n)
    local S = E.open_elements(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) == 'number' then E.written(S, 's', E.slice(argv, i + 2, i + n - 1), 1) end
    return reply
  end

  function H.SREM(argv, i, n)
    local S = E.open_elements(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) == 'number' and reply > 0 then E.removed(S, 's', E.slice(argv, i + 2, i + n - 1), reply) end
    return reply
  end

  function H.SPOP(argv, i, n)
    local S = E.open_elements(argv[i + 1])
    local reply = native(argv, i, n)
    if type_(reply) == 'string' then
      E.removed(S, 's', {reply}, 1)
    elseif type_(reply) == 'table' and not reply.err and #reply > 0 then
      E.removed(S, 's', reply, #reply)
    end
    return reply
  end

  function H.SMOVE(argv, i, n)
    local from, to, member = argv[i + 1], argv[i + 2], argv[i + 3]
    local S = E.open_elements(from)
    local D = E.open_elements(to)
    local reply = native(argv, i, n)
    if reply == 1 and from ~= to then
      E.removed(S, 's', {member}, 1)
      E.written(D, 's', {member}, 1)
    end
    return reply
  end
end
