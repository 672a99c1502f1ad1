-- Scripts and functions of clients. They run here, with an API in the place of Redis's own: what they write goes through
-- the engine. Replies, errors and limits are those of EVAL and FCALL.

do
  local H = E.handlers
  local scripts = {}    -- sha1 → {run = function, flags…}, as SCRIPT LOAD and EVAL left them
  local libraries = {}  -- name → {code, functions}
  local functions = {}  -- of all libraries: name → {run = function, flags…}
  local commands = {}   -- name in upper case → {name, arity, keyed, container, flag…}, or false for an unknown one
  local waits, announce, encoded
  local monitored = 0   -- ms: until then somebody monitors
  local current         -- what runs: {name, source, only_reads, short, resp, rules}
  local api, shadow, globals -- what a script sees in the place of Redis's own

  -- HEAD hides the real API from a script, without a line of its own, so that errors name the client's lines.
  local HEAD = 'local redis,_G,loadstring,load,rawset,setmetatable,getmetatable,KEYS,ARGV=... '
  local FLAGS = {['no-writes'] = true, ['allow-oom'] = true, ['allow-stale'] = true, ['no-cluster'] = true, ['allow-cross-slot-keys'] = true}

  -- Client code is known by its chunk's name. Redis calls all functions, also these here, user_function.
  local SCRIPT, FUNCTION = '@user_script', '@client_function'

  -- place tells the line of the client's source that is at work.
  local function place()
    for level = 3, 12 do
      local _, where = ppcall(error_, '', level)
      local line = match(where, '^user_script:(%d+):') or match(where, '^client_function:(%d+):')
      if line then return tonumber_(line) end
    end
  end

  local function failure(text)
    return {err = text, source = current and current.source, line = place(), ignore_error_stats_update = true}
  end

  -- in_resp2 calls a function that reads Redis's replies in the form of RESP2, whatever the script has chosen.
  local function in_resp2(f, ...)
    if not current or current.resp ~= 3 then return f(...) end
    redis.setresp(2)
    local one, two = f(...)
    redis.setresp(3)
    return one, two
  end

  local function ask(name)
    local info = call('COMMAND', 'INFO', name)[1]
    if not info then return false end
    local known = {name = string.lower(name), arity = info[2], container = info[10] and #info[10] > 0}
    for _, flag in pairs_(info[3]) do known[flag.ok or flag] = true end
    known.keyed = known.movablekeys or info[9] and #info[9] > 0
    return known
  end

  -- describe asks Redis once what it knows of a command.
  local function describe(name)
    local known = commands[name]
    if known == nil then
      known = in_resp2(ask, name)
      commands[name] = known
    end
    return known
  end

  -- command_of finds the command, or subcommand, of a call. It answers what is known of it and its handler.
  local function command_of(argv)
    local name = upper(argv[1])
    local command = describe(name)
    if command and command.container and #argv > 1 then
      command = describe(name .. '|' .. upper(argv[2]))
      return command, command and command.write and H[name]
    end
    return command, H[name]
  end

  -- words checks the arguments of an API function and makes them strings. It answers an error text, or nil and the list.
  local function words(...)
    local argv = {...}
    local n = select('#', ...)
    if n == 0 then return 'ERR Please specify at least one argument for this redis lib call' end
    for j = 1, n do
      local kind = type_(argv[j])
      if kind == 'number' then
        argv[j] = format('%.17g', argv[j])
      elseif kind ~= 'string' then
        return 'ERR Lua redis lib command arguments must be strings or integers'
      end
    end
    return nil, argv
  end

  local function ours(name) return sub(name, 1, #PREFIX) == PREFIX end

  -- reserved says whether a command names one of our own keys. Values may begin like them.
  local function reserved(argv)
    local suspicious
    for j = 2, #argv do
      if ours(argv[j]) then suspicious = true end
    end
    if not suspicious then return false end
    local name = upper(argv[1])
    if name == 'SORT' or name == 'SORT_RO' or name == 'SPUBLISH' then return true end
    local keys = try('COMMAND', 'GETKEYS', unpack_(argv))
    if keys.err then return false end
    for j = 1, #keys do
      if ours(keys[j]) then return true end
    end
    return false
  end

  -- visible leaves our own keys out of a list of names.
  local function visible(names)
    local list = {}
    for j = 1, #names do
      if not ours(names[j]) then list[#list + 1] = names[j] end
    end
    return list
  end

  local FILTERS = {
    KEYS = visible,
    SCAN = function(reply)
      reply[2] = visible(reply[2])
      return reply
    end,
    PUBSUB = function(reply, subcommand)
      if sub(subcommand, -8) == 'CHANNELS' then return visible(reply) end
      return reply
    end,
  }

  -- PLAIN commands count as writes, but change no value: Redis itself carries them out.
  local PLAIN = {PFDEBUG = true, XREAD = true, XREADGROUP = true}

  -- Replies of the engine that carry more digits than a Lua number can: a script gets what Redis gives it.
  local COUNTS = {INCR = true, DECR = true, INCRBY = true, DECRBY = true, HINCRBY = true, BITFIELD = true}

  local function numbers(reply)
    if type_(reply) == 'string' then return tonumber_(reply) end
    if type_(reply) == 'table' then
      for j = 1, #reply do reply[j] = numbers(reply[j]) end
    end
    return reply
  end

  -- written carries out a command that the engine knows.
  local function written(h, name, argv)
    if current.resp == 3 then redis.setresp(2) end
    local good, reply = ppcall(h, argv, 1, #argv)
    if current.resp == 3 then redis.setresp(3) end
    if not good then
      if type_(reply) == 'table' then reply = reply.err or 'unknown' end
      return {err = 'ERR anabranch: ' .. tostring_(reply)}
    end
    if reply == false and current.resp == 3 then return nil end
    return COUNTS[name] and numbers(reply) or reply
  end

  -- What a script that only reads may not call either, since Redis may replicate it.
  local REPLICATED = {PFCOUNT = true, PUBLISH = true, SPUBLISH = true}

  -- perform is one call of the API.
  local function perform(...)
    local problem, argv = words(...)
    if problem then return failure(problem) end
    if not current then return failure('ERR redis.call/pcall can only be called inside a script invocation') end
    local n, name = #argv, upper(argv[1])
    local command, h = command_of(argv)
    if not command then return failure('ERR Unknown Redis command called from script') end
    local arity = command.arity
    if arity > 0 and arity ~= n or n < -arity then
      return failure('ERR Wrong number of args calling Redis command from script')
    end
    if (name == 'XREAD' or name == 'XREADGROUP') and waits(argv) then h = nil end -- Redis refuses it in its own words
    if command.noscript then return failure('ERR This Redis command is not allowed from script') end
    local confined -- the user may not read all keys
    if current.rules then
      local denied, all = in_resp2(E.denied, current.rules, command, argv)
      if denied then return failure('ERR The user executing the script ' .. denied) end
      confined = not all
    end
    if current.only_reads and (command.write or REPLICATED[name]) then
      return failure('ERR Write commands are not allowed from read-only scripts.')
    end
    if command.write and not h and not PLAIN[name] then
      return failure("ERR '" .. string.lower(name) .. "' is not available through Anabranch")
    end
    if E.frozen and command.write then return failure(E.frozen.err) end
    if current.short and command.denyoom then return failure("OOM command not allowed when used memory > 'maxmemory'.") end
    if reserved(argv) then return failure("ERR key names starting with '" .. PREFIX .. "' are reserved") end
    local reply = confined and (name == 'SORT' or name == 'SORT_RO') and E.sort_refusal(argv)
    if reply then return failure(reply) end
    if now < monitored then try('SPUBLISH', PREFIX .. 'monitor', db .. ' ' .. encoded(argv)) end
    if h then
      reply = written(h, name, argv)
    else
      reply = try(unpack_(argv, 1, n))
      if FILTERS[name] and type_(reply) == 'table' and not reply.err then reply = FILTERS[name](reply, upper(argv[2])) end
      if name == 'SELECT' and reply.ok then db = tonumber_(argv[2]) end
      if name == 'PUBLISH' or name == 'SPUBLISH' then announce(argv) end
    end
    if type_(reply) == 'table' and reply.err then return failure(reply.err) end
    return reply
  end

  -- waits says whether a stream command has the option BLOCK.
  function waits(argv)
    for j = 2, #argv do
      local word = upper(argv[j])
      if word == 'STREAMS' then return false end
      if word == 'BLOCK' then return true end
    end
  end

  function encoded(argv)
    local parts = {'*' .. #argv .. '\r\n'}
    for j = 1, #argv do parts[j + 1] = '$' .. #argv[j] .. '\r\n' .. argv[j] .. '\r\n' end
    return concat(parts)
  end

  -- announce tells the proxies that serve other regions of a message, as they tell each other.
  function announce(argv)
    try('SPUBLISH', PREFIX .. 'messages', encoded(argv))
  end

  -- FCALL anabranch_monitor ms: so long, what scripts call is announced, for clients that monitor.
  function E.monitor(argv)
    E.init()
    local time = call('TIME')
    monitored = time[1] * 1000 + floor(time[2] / 1000) + tonumber_(argv[1])
    return OK
  end

  local READONLY = 'Attempt to modify a readonly table'
  local function readonly() error_(READONLY, 2) end

  -- compile makes a function of a client's source: it takes what HEAD names. Bytecode could do anything.
  local function compile(source, name)
    if byte(source, 1) == 27 then return nil, 'attempt to load chunk with wrong mode' end
    return loadstring(HEAD .. source, name)
  end

  -- shadow_functions makes what hides the real API: all scripts share it, and none can change it.
  local function shadow_functions()
    shadow = setmetatable({}, {__index = api, __newindex = readonly, __metatable = false})
    globals = setmetatable({}, {__index = _G, __newindex = readonly, __metatable = false})
    local own = {redis = shadow, _G = globals}
    function own.loadstring(source, name)
      if type_(source) ~= 'string' then return loadstring(source) end
      local f, problem = compile('return function(...) ' .. source .. '\nend', name or source)
      if not f then return nil, problem end
      return f(shadow, globals, own.loadstring, own.load, own.rawset, own.setmetatable, own.getmetatable)
    end
    function own.load(piece, name)
      local parts = {}
      while true do
        local part = piece()
        if part == nil or part == '' then break end
        parts[#parts + 1] = part
      end
      return own.loadstring(concat(parts), name or '=(load)')
    end
    function own.rawset(t, k, v)
      if t == shadow or t == globals then error_(READONLY, 2) end
      return rawset(t, k, v)
    end
    function own.setmetatable(t, m)
      if t == shadow or t == globals then error_(READONLY, 2) end
      return setmetatable(t, m)
    end
    local locked = setmetatable({}, {__newindex = readonly, __metatable = false})
    function own.getmetatable(t)
      if t == globals then return locked end
      return getmetatable(t)
    end
    for name, value in pairs_(own) do rawset(globals, name, value) end
  end

  -- hidden calls a chunk that compile made.
  local function hidden(f, keys, args)
    rawset(globals, 'KEYS', keys)
    rawset(globals, 'ARGV', args)
    return f(shadow, globals, globals.loadstring, globals.load, globals.rawset, globals.setmetatable, globals.getmetatable, keys, args)
  end

  local function prepare()
    if api then return end
    api = {}
    for name, value in pairs_(redis) do api[name] = value end
    api.register_function = nil
    function api.call(...)
      local reply = perform(...)
      if type_(reply) == 'table' and reply.err then error_(reply, 0) end
      return reply
    end
    function api.pcall(...)
      return perform(...)
    end
    function api.setresp(...)
      redis.setresp(...)
      if current then current.resp = (...) end
    end
    function api.acl_check_cmd(...)
      if not current then error_(failure('ERR redis.acl_check_cmd can only be called inside a script invocation'), 0) end
      local problem, argv = words(...)
      if problem then error_(failure(problem), 0) end
      local command = command_of(argv)
      if not command then error_(failure('ERR Invalid command passed to redis.acl_check_cmd()'), 0) end
      return not current.rules or not in_resp2(E.denied, current.rules, command, argv)
    end
    function api.replicate_commands() return true end
    function api.breakpoint() return false end
    function api.debug() end
    -- What a script writes is always an effect for replicas, the log and other regions alike.
    api.REPL_NONE, api.REPL_AOF, api.REPL_SLAVE, api.REPL_REPLICA, api.REPL_ALL = 0, 1, 2, 2, 3
    function api.set_repl(...)
      if select('#', ...) ~= 1 then error_(failure('ERR redis.set_repl() requires two arguments.'), 0) end
      local flags = tonumber_((...))
      if not flags or flags < 0 or flags > 3 then
        error_(failure('ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.'), 0)
      end
    end
    shadow_functions()
  end

  -- explain words an error that a script did not catch, with the script's name and line. It runs where the error occurred.
  local function explain(problem)
    local text = type_(problem) == 'table' and problem.err
    if type_(text) ~= 'string' then text = 'ERR ' .. string.gsub(tostring_(problem), 'client_function:', 'user_function:') end
    -- A call in the tail of a function leaves no trace of its line.
    local line = type_(problem) == 'table' and problem.line or place() or current.line
    local where = line and ', on ' .. current.source .. ':' .. line or ''
    return {err = text .. ' script: ' .. current.name .. where .. '.'}
  end

  -- execute runs a script or function with its keys and arguments, for a user whose rules are given, if any.
  local function execute(script, name, source, only_reads, argv, first, keys, last, rules)
    local names, args = E.slice(argv, first, first + keys - 1), E.slice(argv, first + keys, last)
    local flags = script.flags
    if only_reads and flags and not flags['no-writes'] then
      return {err = 'ERR Can not execute a script with write flag using *_ro command.'}
    end
    if E.frozen and flags and not flags['no-writes'] then return E.frozen end
    if E.short and flags and not flags['allow-oom'] and not flags['no-writes'] then
      return {err = "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"}
    end
    current = {
      name = name, source = source, line = script.line, short = E.short and not flags, only_reads = only_reads or (flags and flags['no-writes']),
      rules = rules,
    }
    local _, reply = xpcall(function() return script.run(names, args) end, explain)
    current = nil
    if reply == nil then return cjson.null end -- false would be more than null to RESP3
    return reply
  end

  -- shebang reads the first line of a script: how long it is, and its flags.
  local function shebang(body)
    if sub(body, 1, 2) ~= '#!' then return 0, nil end
    local line_end = find(body, '\n', 1, true)
    if not line_end then return nil, nil, 'ERR Invalid script shebang' end
    local parts = {}
    for part in string.gmatch(sub(body, 1, line_end - 1), '%S+') do parts[#parts + 1] = part end
    if parts[1] ~= '#!lua' then return nil, nil, 'ERR Unexpected engine in script shebang: ' .. (parts[1] or '') end
    local flags = {}
    for j = 2, #parts do
      local list = match(parts[j], '^flags=(.*)$')
      if not list then return nil, nil, 'ERR Unknown lua shebang option: ' .. parts[j] end
      for flag in string.gmatch(list .. ',', '([^,]*),') do
        if list ~= '' then
          if not FLAGS[flag] then return nil, nil, 'ERR Unexpected flag in script shebang: ' .. flag end
          flags[flag] = true
        end
      end
    end
    return line_end - 1, flags
  end

  -- remember compiles a script and keeps it under its checksum. It answers the script, or an error.
  local function remember(sha, body)
    prepare()
    local skipped, flags, problem = shebang(body)
    if problem then return nil, {err = problem} end
    local f, reason = compile(sub(body, skipped + 1), SCRIPT)
    if not f then return nil, {err = 'ERR Error compiling script (new function): ' .. reason} end
    local script = {run = function(keys, args) return hidden(f, keys, args) end, flags = flags, line = not find(body, '\n', 1, true) and 1 or nil}
    scripts[sha] = script
    return script
  end

  -- keys_of reads the number of keys, which stands at argv[at]; last is the place of the last argument.
  local function keys_of(argv, at, last, malformed)
    local text = argv[at]
    local keys = match(text, '^%-?%d+$') and tonumber_(text)
    if not keys or keys >= EXACT or keys <= -EXACT or format('%.0f', keys) ~= text then return nil, {err = malformed} end
    if keys > last - at then return nil, {err = "ERR Number of keys can't be greater than number of args"} end
    if keys < 0 then return nil, {err = "ERR Number of keys can't be negative"} end
    return keys
  end

  local function evaluate(by_sha, only_reads)
    return function(argv, i, n, rules)
      local last = i + n - 1
      local keys, refused = keys_of(argv, i + 2, last, 'ERR value is not an integer or out of range')
      if refused then return refused end
      local sha, script
      if by_sha then
        sha = string.lower(argv[i + 1])
        script = scripts[sha]
        if not script then return {err = 'NOSCRIPT No matching script. Please use EVAL.'} end
      else
        sha = redis.sha1hex(argv[i + 1])
        script = scripts[sha]
        if not script then
          script, refused = remember(sha, argv[i + 1])
          if refused then return refused end
        end
      end
      return execute(script, sha, SCRIPT, only_reads, argv, i + 3, keys, last, rules)
    end
  end
  H.EVAL, H.EVAL_RO = evaluate(false, false), evaluate(false, true)
  H.EVALSHA, H.EVALSHA_RO = evaluate(true, false), evaluate(true, true)

  function H.SCRIPT(argv, i, n)
    local what = upper(argv[i + 1])
    if what == 'LOAD' then
      local sha = redis.sha1hex(argv[i + 2])
      if not scripts[sha] then
        local _, refused = remember(sha, argv[i + 2])
        if refused then return refused end
      end
      return sha
    elseif what == 'EXISTS' then
      local known = {}
      for j = i + 2, i + n - 1 do known[j - i - 1] = scripts[string.lower(argv[j])] and 1 or 0 end
      return known
    end
    scripts = {}
    return OK
  end

  local function invoke(only_reads)
    return function(argv, i, n, rules)
      local last = i + n - 1
      local f = functions[string.lower(argv[i + 1])]
      if not f then return {err = 'ERR Function not found'} end
      local keys, refused = keys_of(argv, i + 2, last, 'ERR Bad number of keys provided')
      if refused then return refused end
      return execute(f, argv[i + 1], '@user_function', only_reads, argv, i + 3, keys, last, rules)
    end
  end
  H.FCALL, H.FCALL_RO = invoke(false), invoke(true)

  local RUNS = {EVAL = true, EVAL_RO = true, EVALSHA = true, EVALSHA_RO = true, FCALL = true, FCALL_RO = true}

  -- XCRDT.AS rules command argument…: a script of a user who may not do everything.
  H['XCRDT.AS'] = function(argv, i, n)
    local name = n > 4 and upper(argv[i + 2])
    if not RUNS[name] then return {err = 'ERR anabranch: malformed call'} end
    return H[name](argv, i + 2, n - 2, E.rules(argv[i + 1]))
  end

  -- register runs a library's source, which Redis has accepted before, and answers what it registers.
  local function register(code)
    local found, line_end = {}, find(code, '\n', 1, true) or 1
    local f = compile(sub(code, line_end), FUNCTION)
    function api.register_function(name, callback)
      local flags = {}
      if type_(name) == 'table' then
        for _, flag in pairs_(name.flags or {}) do flags[flag] = true end
        name, callback = name.function_name, name.callback
      end
      found[string.lower(name)] = {run = callback, flags = flags}
    end
    if f then ppcall(hidden, f) end
    api.register_function = nil
    return found
  end

  -- FCALL anabranch_functions { name code }…: the libraries of clients that Redis has now. One that has not changed keeps its
  -- state.
  function E.take_functions(argv)
    E.init()
    prepare()
    local now_there = {}
    functions = {}
    for j = 1, #argv, 2 do
      local library = libraries[argv[j]]
      if not library or library.code ~= argv[j + 1] then
        library = {code = argv[j + 1], functions = register(argv[j + 1])}
      end
      now_there[argv[j]] = library
      for name, f in pairs_(library.functions) do functions[name] = f end
    end
    libraries = now_there
    return #argv / 2
  end
end
