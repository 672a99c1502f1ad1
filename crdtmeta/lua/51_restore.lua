-- RESTORE: a whole key from a serialized value.

do
  local H = E.handlers
  local MODULE, MODULE_2 = 6, 7 -- the first byte of a serialized value of a module's type

  function H.RESTORE(argv, i, n)
    local k, payload = argv[i + 1], argv[i + 3]
    local kind = byte(payload, 1)
    if kind == MODULE or kind == MODULE_2 then
      -- Where the module is not loaded, Redis refuses it in the same words.
      local reply = try('RESTORE', SCRATCH, 0, payload, 'REPLACE')
      call('DEL', SCRATCH)
      return reply.err and reply or {err = 'ERR Bad data format'}
    end
    local use, amount -- IDLETIME or FREQ
    for j = i + 4, i + n - 2 do
      local word = upper(argv[j])
      if word == 'IDLETIME' or word == 'FREQ' then use, amount = word, argv[j + 1] end
    end
    E.open_local(k)
    local existed = call('EXISTS', k) == 1
    local reply = E.native(argv, i, n)
    if reply.err then return reply end
    if call('EXISTS', k) == 1 then
      E.replaced(k, existed)
      if use then
        -- Reading the value for the effect has used it.
        local at = call('PEXPIRETIME', k)
        call('RESTORE', k, at > 0 and format('%.0f', at) or '0', payload, 'REPLACE', 'ABSTTL', use, amount)
      end
    elseif existed then
      E.remove_local(E.open(k))
    end
    return reply
  end
end
