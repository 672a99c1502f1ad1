-- What a user may do, for the calls of scripts: the rules of Redis's access control lists, in the form that XCRDT.AS carries.

do
  local known, known_count = {}, 0 -- text of rules → selectors, the last ones seen
  local REMEMBERED = 100

  local MISSING = PREFIX .. 'missing' -- in the place of an argument that is not there

  -- Where a command names channels: from the first argument on, or the first alone.
  local FIRST, ALL, LITERAL = 1, 2, 3
  local CHANNELS = {publish = FIRST, spublish = FIRST, subscribe = ALL, ssubscribe = ALL, psubscribe = LITERAL}

  local function read_selector(line)
    local s = {others = false, named = {}, keys = {}, channels = {}}
    for word in string.gmatch(line, '[^ ]+') do
      local kind = byte(word)
      if word == '+@all' then
        s.others = true
      elseif word == '~*' then
        s.keys = nil
      elseif word == '&*' then
        s.channels = nil
      elseif kind == 37 then -- %
        local rights, pattern = match(word, '^%%(%u*)~(.*)$')
        s.keys[#s.keys + 1] = {pattern = pattern, read = find(rights, 'R'), write = find(rights, 'W')}
      elseif kind == 38 then -- &
        s.channels[#s.channels + 1] = sub(word, 2)
      elseif word ~= '-@all' then
        s.named[sub(word, 2)] = kind == 43 -- +
      end
    end
    return s
  end

  -- E.rules reads the rules of a user.
  function E.rules(text)
    local selectors = known[text]
    if selectors then return selectors end
    selectors = {}
    for line in string.gmatch(text .. '\n', '([^\n]*)\n') do selectors[#selectors + 1] = read_selector(line) end
    if known_count == REMEMBERED then known, known_count = {}, 0 end
    known[text], known_count = selectors, known_count + 1
    return selectors
  end

  local STAR, QUESTION, OPEN, CLOSE, BACKSLASH, CARET, DASH = 42, 63, 91, 93, 92, 94, 45

  local function signed(c) return c < 128 and c or c - 256 end

  -- in_class looks for a byte in the class that begins behind p's bracket, and answers where the class ends, too. One that is
  -- never closed ends with the pattern.
  local function in_class(pattern, p, c)
    local last, found = #pattern, false
    local negated = byte(pattern, p) == CARET
    if negated then p = p + 1 end
    while p <= last and byte(pattern, p) ~= CLOSE do
      local low = byte(pattern, p)
      if low == BACKSLASH and p < last then
        found = found or byte(pattern, p + 1) == c
        p = p + 2
      elseif p + 2 <= last and byte(pattern, p + 1) == DASH then
        -- Redis compares signed bytes.
        local from, to, at = signed(low), signed(byte(pattern, p + 2)), signed(c)
        if from > to then from, to = to, from end
        found = found or from <= at and at <= to
        p = p + 3
      else
        found = found or low == c
        p = p + 1
      end
    end
    return found ~= negated, p + 1
  end

  -- fits says whether name, from n on, fits a glob-style pattern, from p on, with all the habits of Redis's own matching. The
  -- second answer says that a longer match of an earlier star would not help; without it many stars would take for ever.
  local function fits(pattern, p, name, n)
    local last, length = #pattern, #name
    while p <= last and n <= length do
      local c = byte(pattern, p)
      if c == STAR then
        while byte(pattern, p + 1) == STAR do p = p + 1 end
        if p == last then return true, false end
        for from = n, length do
          local good, hopeless = fits(pattern, p + 1, name, from)
          if good or hopeless then return good, hopeless end
        end
        return false, true
      elseif c == OPEN then
        local found
        found, p = in_class(pattern, p + 1, byte(name, n))
        if not found then return false, false end
      elseif c == QUESTION then
        p = p + 1
      else
        if c == BACKSLASH and p < last then p = p + 1 end
        if byte(pattern, p) ~= byte(name, n) then return false, false end
        p = p + 1
      end
      n = n + 1
      if n > length then
        while byte(pattern, p) == STAR do p = p + 1 end
      end
    end
    return p > last and n > length, false
  end

  local function allows_command(s, command, argv)
    if command.no_auth then return true end
    local told = s.named[command.name]
    if told == nil then told = s.others end
    return told or argv[2] ~= nil and s.named[command.name .. '|' .. string.lower(argv[2])] == true
  end

  local function allows_keys(s, keys)
    for j = 1, #keys do
      local key, allowed = keys[j], false
      for _, k in ipairs(s.keys) do
        if (k.read or not key.read) and (k.write or not key.write) and fits(k.pattern, 1, key.name, 1) then
          allowed = true
          break
        end
      end
      if not allowed then return false end
    end
    return true
  end

  local function allows_channels(s, places, argv)
    for j = 2, places == FIRST and 2 or #argv do
      local allowed = false
      for _, pattern in ipairs(s.channels) do
        if places == LITERAL and pattern == argv[j] or places ~= LITERAL and fits(pattern, 1, argv[j], 1) then
          allowed = true
          break
        end
      end
      if not allowed then return false end
    end
    return true
  end

  -- keys_of asks Redis which keys a command names, and what it does with them. Arguments that are no command name none.
  local function keys_of(command, argv)
    local keys = {}
    if not command.keyed then return keys end
    local words, n, arity = argv, #argv, command.arity
    if arity > 0 and n > arity then
      words = E.slice(argv, 1, arity)
    elseif n < arity or n < -arity then
      words = E.slice(argv, 1, n)
      for j = n + 1, arity > 0 and arity or -arity do words[j] = MISSING end
    end
    local reply = try('COMMAND', 'GETKEYSANDFLAGS', unpack_(words))
    if reply.err then return keys end
    for j = 1, #reply do
      local key = {name = reply[j][1]}
      if key.name == MISSING then return {} end
      for _, flag in ipairs(reply[j][2]) do
        local text = flag.ok or flag
        if text == 'access' then key.read = true end
        if text == 'insert' or text == 'delete' or text == 'update' then key.write = true end
      end
      keys[j] = key
    end
    return keys
  end

  -- verdict answers 0 when a selector allows the command, else 1, 2 or 3: it is the command, a key or a channel that is denied.
  local function verdict(s, command, argv, keys)
    if not allows_command(s, command, argv) then return 1 end
    if s.keys and not allows_keys(s, keys()) then return 2 end
    local places = CHANNELS[command.name]
    if s.channels and places and not allows_channels(s, places, argv) then return 3 end
    return 0
  end

  -- reads_all says that a selector allows reading every key.
  local function reads_all(s)
    if not s.keys then return true end
    for _, k in ipairs(s.keys) do
      if k.pattern == '*' and k.read then return true end
    end
    return false
  end

  local DENIED = {
    "can't run this command or subcommand",
    "can't access at least one of the keys mentioned in the command arguments",
    "can't publish to the channel mentioned in the command",
  }

  -- E.denied answers why the rules do not allow a command that a script calls, nil when they do. The second answer is true when
  -- a selector that allows it also allows reading every key.
  function E.denied(rules, command, argv)
    local found
    local function keys()
      found = found or keys_of(command, argv)
      return found
    end
    local worst, allowed, all = 1, false, false
    for j = 1, #rules do
      local v = verdict(rules[j], command, argv, keys)
      if v > worst then worst = v end
      if v == 0 then
        allowed = true
        if reads_all(rules[j]) then all = true end
      end
    end
    if not allowed then return DENIED[worst], false end
    return nil, all
  end

  -- E.sort_refusal answers why SORT may not follow the patterns of BY or GET, of a user who may not read every key. Options that are
  -- wrong are Redis's to refuse.
  function E.sort_refusal(argv)
    local j, last, store = 3, #argv, upper(argv[1]) == 'SORT'
    while j <= last do
      local word, left = upper(argv[j]), last - j
      if word == 'LIMIT' and left >= 2 then
        j = j + 2
      elseif word == 'STORE' and left >= 1 and store then
        j = j + 1
      elseif word == 'BY' and left >= 1 then
        j = j + 1
        if find(argv[j], '*', 1, true) then return 'ERR BY option of SORT denied due to insufficient ACL permissions.' end
      elseif word == 'GET' and left >= 1 then
        return 'ERR GET option of SORT denied due to insufficient ACL permissions.'
      elseif word ~= 'ASC' and word ~= 'DESC' and word ~= 'ALPHA' then
        return nil
      end
      j = j + 1
    end
  end
end
