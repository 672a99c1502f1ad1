-- The functions that Redis offers to the proxies.

do
  local H = E.handlers
  local MALFORMED = {err = 'ERR anabranch: malformed call'}

  local function run(h, argv, i, n)
    local good, reply = ppcall(h, argv, i, n)
    if good then return reply end
    if type_(reply) == 'table' then reply = reply.err or 'unknown' end
    return {err = 'ERR anabranch: ' .. tostring_(reply)}
  end

  -- What may run on a server that takes no writes. Scripts run up to their first one.
  local READS = {
    DBSIZE = true, RANDOMKEY = true, ['XCRDT.EXPLAIN'] = true, ['XCRDT.AS'] = true, SCRIPT = true,
    EVAL = true, EVAL_RO = true, EVALSHA = true, EVALSHA_RO = true, FCALL = true, FCALL_RO = true,
  }

  -- read answers what needs no write, and all else with the words with which Redis refuses it: "3?MISCONF …" is database 3 and these.
  local function read(keys, argv)
    E.init()
    local number, refusal = match(argv[1], '^(%d+)%?(.*)$')
    if not number then return MALFORMED end
    if open then
      E.select(tonumber_(number)) -- the entry of a transaction that was cut off waits for somebody who may write
    else
      local refused = E.begin(tonumber_(number))
      if refused then return refused end
    end
    E.frozen, E.short = {err = refusal}, nil
    local home, replies, r, i, n = db, {}, 0, 2, #argv
    while i <= n do
      local count = argv[i] == 'M' and 1 or tonumber_(argv[i])
      r = r + 1
      if not count or count < 1 or i + count > n then
        replies[r] = MALFORMED
        break
      end
      local name = argv[i] ~= 'M' and upper(argv[i + 1])
      replies[r] = READS[name] and run(H[name], argv, i + 1, count) or E.frozen
      if db ~= home then E.select(home) end
      i = i + 1 + count
    end
    E.frozen = nil
    return replies
  end

  local function write(keys, argv)
    -- "3+" says: database 3, and more calls of the same MULTI/EXEC follow. "3!" says that memory is short.
    local number, more = tonumber(argv[1]), nil
    if not number then number, more = string.match(argv[1], '^(%d+)([+!])$') end
    if held then
      argv[1] = number .. '?CRDTHELD ' .. held
      return read(keys, argv)
    end
    E.short = more == '!'
    local refused = E.resume(tonumber(number))
    if refused then return refused end
    local home = db
    local replies, r = {}, 0
    local i, n = 2, #argv
    while i <= n do
      local argc, name = argv[i], argv[i + 1]
      if argc == 'M' then
        r = r + 1
        replies[r] = name and run(E.set_run, name) or MALFORMED
        i = i + 2
      else
        local count = tonumber_(argc)
        r = r + 1
        if not count or count < 1 or i + count > n then
          -- A proxy's mistake must not leave the ops before it without their log entry.
          replies[r] = MALFORMED
          break
        end
        local h = H[name] or H[upper(name)]
        if h then
          replies[r] = run(h, argv, i + 1, count)
          if db ~= home then E.select(home) end
        else
          replies[r] = {err = "ERR anabranch: the engine has no command '" .. name .. "'"}
        end
        i = i + 1 + count
      end
    end
    if more == '+' then open = true else E.finish() end
    return replies
  end

  -- has_data says whether clients had put data into this Redis before it was armed for the first time.
  local function has_data()
    for _, d in pairs_(E.databases()) do
      E.select(d)
      if H.DBSIZE() > 0 then
        E.select(0)
        return true
      end
    end
    E.select(0)
    return false
  end

  -- hold keeps clients from writing, or lets them go on (nil).
  function E.hold(why)
    held = why
    if why then call('SET', HELD, why) else call('DEL', HELD) end
  end

  -- forget_log ends quarantine: nobody is told from now on what the log says up to a time, unless it says nothing of this region.
  local function forget_log(upto, keep)
    if not keep then
      call('SET', PREFIX .. 'cut', upto)
      call('XTRIM', LOG, 'MINID', E.entry_id(tonumber_(upto)))
    end
    call('SET', PREFIX .. 'reentry', upto)
  end

  -- FCALL anabranch_hold self why [t ["keep"]]: "" lets clients write again, with t after quarantine. self is the epoch of which the caller
  -- speaks: what is in force may be one of a server that came back old. Clients that write already must not lose their entries to a leader
  -- that comes late.
  local function hold_call(keys, argv)
    local refused = E.begin(0)
    if refused then return refused end
    local self, why, upto, keep = argv[1], argv[2], argv[3], argv[4]
    if self ~= origin then return 'epoch' end
    if upto and not held then return {ok = 'OK'} end
    if upto then forget_log(upto, keep) end
    E.hold(why ~= '' and why or nil)
    E.finish()
    return {ok = 'OK'}
  end

  -- FCALL anabranch_alive: the leader's sign of life, which the next arming reads. It is refused while the engine is not armed: a leader
  -- outlives its server, and one that came back with old data must not pass for one that was never away.
  local function alive_call()
    local refused = E.begin(0)
    if refused then return refused end
    call('SET', ALIVE, format('%.0f', now))
    return {ok = 'OK'}
  end

  -- renew begins a new epoch with the next arming: this region has learnt that it once had later epochs than its own, before its
  -- Redis was emptied.
  function E.renew(frontier)
    for o in pairs_(frontier) do
      if o ~= origin and E.our_region(o) and E.epoch_number(o) >= E.epoch_number(origin) then
        local self = munpack(call('GET', SELF))
        self.runid, self.above = '', E.epoch_number(o)
        call('SET', SELF, mpack(self))
        armed = nil
        return
      end
    end
  end

  -- FCALL anabranch_renew origin: another region has seen an epoch of this one in force that this server has never heard of, and that is
  -- as late as ours or later. Ours would not be believed there.
  local function renew_call(keys, argv)
    local refused = E.begin(0)
    if refused then return refused end
    E.finish()
    if argv[1] ~= origin and E.our_region(argv[1]) then
      E.renew({[argv[1]] = 0})
    end
    return {ok = 'OK'}
  end

  -- end_of_log is the time of the newest entry that the log ever had, 0 for none.
  local function end_of_log()
    local info = E.stream_info(LOG)
    return info and E.entry_time(info['last-generated-id']) or 0
  end

  -- log_written is how many effects the epoch of the newest entry has had.
  local function log_written()
    local entry = call('XREVRANGE', LOG, '+', '-', 'COUNT', 1)[1]
    local body = entry and munpack(entry[2][2]) or {}
    return body[1] == 'e' and body[3] or body[1] == 'f' and body[4] or 0
  end

  -- leave_copy makes a copy of another region's Redis the beginning of this region: it has applied all of that region's log.
  local function leave_copy(other)
    local last, frontier = end_of_log(), E.read_frontier()
    call('HSET', FRONTIER, other.origin, format('%.0f', last))
    E.note_newest(other.origin, last, log_written())
    call('HSET', CONTEXT, other.origin, mpack(frontier))
    for _, name in pairs_({'acks', 'lease', 'status', 'quarantined', 'reentry', 'members', 'paused', 'heard'}) do call('DEL', PREFIX .. name) end
    call('DEL', LOG, EPOCHS, SELF, MERGES, HELD, ALIVE, AHEAD)
    call('HDEL', PREFIX .. 'collected', 'cursor')
    call('SET', PREFIX .. 'sweep', other.name) -- names of keys with metadata were in the log
  end

  -- arm makes the library accept writes for this server's life. A server whose run id or replication id is not the one
  -- that the epoch belongs to may have lost writes: a new epoch starts.
  local function arm(keys, argv)
    E.init()
    db, counted, ttl_queue = 0, {}, {}
    E.wake_all()
    local id, name, shard, random, runid, replid = tonumber(argv[1]), argv[2], tonumber(argv[3]), argv[4], argv[5], argv[6]
    E.xadd_ids = argv[7] or 'semi-strict'
    E.ledger_values = argv[8] ~= 'hidden'
    if not id or id < 1 or id > 63 or not shard or not random or not match(random, '^%x%x%x%x%x%x$') or not replid then
      return {err = 'ERR anabranch: region id, shard or random part is not valid'}
    end
    local raw, copied = call('GET', SELF), false
    local self = raw and munpack(raw)
    if self and self.region ~= id and argv[10] ~= self.name then
      return {err = 'CRDTREGION this Redis belongs to region ' .. self.name .. ' with id ' .. self.region .. ', not to id ' .. id}
    end
    local refused = E.arm_as(argv[11], id)
    if refused then return refused end
    if self and self.region ~= id then
      leave_copy(self)
      raw, self = false, nil
      copied = true
    end
    if self and self.format ~= 1 then
      return {err = 'CRDTFORMAT the metadata in this Redis has format ' .. tostring_(self.format) .. ', this version reads format 1'}
    end
    local begun = self and self.begun -- the epoch with which the record began anew, if it ever did
    if argv[11] == 'record' then self = nil end
    last_t, last_effect, written = end_of_log(), 0, log_written()
    -- If none of the newest entries has effects, older ones may, back to the beginning of the epoch.
    for _, entry in pairs_(call('XREVRANGE', LOG, '+', '-', 'COUNT', 100)) do
      local kind = munpack(entry[2][2])[1]
      last_effect = kind ~= 't' and E.entry_time(entry[1]) or 0
      if kind ~= 'f' then break end
    end
    held = call('GET', HELD) or nil
    E.begin_ahead()
    if self and self.runid == runid and self.replid == replid and self.shard == shard then
      armed, origin = raw, self.origin
      return origin
    end
    local counter = self and math.max(E.epoch_number(self.origin), self.above or 0) or 0
    for o in pairs_(E.read_frontier()) do
      if find(o, id .. '.', 1, true) == 1 and E.epoch_number(o) > counter then counter = E.epoch_number(o) end
    end
    local epoch = format('%d-%s', counter + 1, random)
    origin = format('%d.%d.%s', id, shard, epoch)
    local time = call('TIME')
    local at = (time[1] * 1000 + floor(time[2] / 1000)) * TICKS
    local alive, trust = tonumber_(call('GET', ALIVE)), tonumber_(argv[9])
    if self and alive and trust and at / TICKS - alive > trust and not held then
      E.hold('this region was away for ' .. floor((at / TICKS - alive) / 1000) .. ' s: it takes writes again once another region says that it has missed nothing')
    end
    if at <= last_t then at = last_t + 1 end
    local old, ended = '', 0
    if self then
      old, ended = self.origin, last_t
      call('HSET', FRONTIER, old, format('%.0f', ended))
      if last_effect > 0 then E.note_newest(old, last_effect, written) end
    end
    if not self and not copied and has_data() then call('HSET', PREFIX .. 'collected', 'base', id) end
    armed = mpack({format = 1, region = id, name = name, shard = shard, epoch = epoch, runid = runid, replid = replid, origin = origin, begun = argv[11] == 'record' and epoch or begun})
    call('SET', SELF, armed)
    call('HSET', EPOCHS, epoch, format('%.0f', at))
    call('XADD', LOG, E.entry_id(at), 'b', mpack({'t', origin, old, ended}))
    -- What this epoch's effects have seen must not be guessed from what the last epoch had: part of that may be lost.
    last_t, last_effect, written = at + 1, 0, 0
    local frontier, all = {}, call('HGETALL', FRONTIER)
    for i = 1, #all, 2 do frontier[all[i]] = tonumber_(all[i + 1]) end
    call('XADD', LOG, E.entry_id(last_t), 'b', mpack({'f', origin, frontier, written}))
    return origin
  end

  local function info()
    local refused = E.begin(0)
    if refused then return refused end
    if now * TICKS - 1 > told then told = now * TICKS - 1 end
    local list = {'origin', origin, 'last_t', format('%.0f', last_t), 'last_effect', format('%.0f', last_effect), 'written', format('%.0f', written), 'last_id', E.entry_id(last_t), 'now_ms', format('%.0f', now), 'begun', munpack(armed).begun or ''}
    for name, n in pairs_(E.stats) do
      list[#list + 1] = name
      list[#list + 1] = format('%.0f', n)
    end
    return list
  end

  local function function_of(f)
    return function(keys, argv) return f(argv) end
  end

  redis.register_function('anabranch_write_1', write)
  redis.register_function{function_name = 'anabranch_free_1', callback = write, flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_read_1', callback = read, flags = {'no-writes'}}
  redis.register_function{function_name = 'anabranch_arm_1', callback = arm, flags = {'allow-oom'}}
  redis.register_function('anabranch_apply_1', function_of(E.apply))
  redis.register_function{function_name = 'anabranch_expire_1', callback = function_of(E.expire), flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_state_1', callback = function_of(E.state), flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_evicted_1', callback = function_of(E.evicted), flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_collect_1', callback = function_of(E.collect), flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_weigh_1', callback = function_of(E.weigh), flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_states_1', callback = function_of(E.states), flags = {'allow-oom'}}
  redis.register_function('anabranch_merge_1', function_of(E.merge_states))
  redis.register_function('anabranch_refill_1', function_of(E.refill))
  redis.register_function{function_name = 'anabranch_monitor_1', callback = function_of(E.monitor), flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_functions_1', callback = function_of(E.take_functions), flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_hold_1', callback = hold_call, flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_alive_1', callback = alive_call, flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_plain_1', callback = E.plain_call, flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_renew_1', callback = renew_call, flags = {'allow-oom'}}
  redis.register_function{function_name = 'anabranch_info_1', callback = info, flags = {'allow-oom'}}
end
