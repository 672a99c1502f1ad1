-- Applying another region's log: position and context are checked here, in the same step that changes data, so that
-- nothing is applied twice or too early whatever a proxy believes.

do
  local M = E.merge
  local FAR = 315360000000 -- ten years in ms: a stamp that far ahead would block the log's clock for good

  -- How many values an effect has, its kind included, and where among them its key is.
  local SIZE = {
    S = 3, M = 2, W = 4, a = 5, A = 6, r = 5, i = 8, R = 3, E = 3, O = 3, V = 3, F = 3, D = 2, l = 4, d = 3, L = 4, g = 5, p = 3, C = 3,
  }
  local KEY_AT = {S = 1, W = 1, a = 2, A = 2, r = 2, i = 2, R = 1, E = 1, O = 1, V = 1, l = 1, d = 1, L = 1, g = 1, p = 1}
  E.key_at = KEY_AT

  function E.too_far(at) return at > (now + FAR) * TICKS end

  local function region(o)
    return tonumber_(match(o, '^(%d+)'))
  end

  -- read_entries decodes and checks all entries of a call before the first of them changes anything. It answers a list
  -- of {t, body, runs, timed = has a TTL effect, plain = elements of a run for it when it has only string writes in
  -- database 0}, or an error.
  local function read_entries(argv, from, frontier)
    local list, i, last, new = {}, 3, #argv, {}
    while i <= last do
      local id, packed, count = argv[i], argv[i + 1], tonumber_(argv[i + 2])
      local at = E.entry_time(id)
      if not at then return nil, 'an id is not valid' end
      if not packed or not count or count < 0 or i + 2 + count > last then return nil, 'entry ' .. id .. ' has no body' end
      if E.too_far(at) then return nil, 'entry ' .. id .. ' is more than ten years ahead of this region' end
      local good, body = ppcall(munpack, packed)
      if not good or type_(body) ~= 'table' or type_(body[2]) ~= 'string' or region(body[2]) ~= from then
        return nil, 'entry ' .. id .. ' is not one of this origin'
      end
      if not frontier[body[2]] then new[body[2]] = at end
      local entry, kind, plain = {t = at, body = body, runs = {}}, body[1], 0
      if kind == 'e' then
        if type_(body[3]) ~= 'number' then return nil, 'entry ' .. id .. ' does not count its effects' end
        local p, n, nth = 4, #body, 0
        while p <= n do
          local effect = body[p]
          local size = SIZE[effect]
          if not size then return nil, 'entry ' .. id .. ' has an effect of an unknown kind' end
          if not E.proper(body, p) then return nil, 'entry ' .. id .. ' has an effect ' .. effect .. ' that no region makes' end
          if effect == 'M' then
            nth = nth + 1
            local run = nth <= count and E.run_of(argv[i + 2 + nth])
            if not run or #run ~= 4 * body[p + 1] then return nil, 'entry ' .. id .. ' has a run that cannot be read' end
            entry.runs[nth] = run
            plain = plain and plain + #run
          elseif effect == 'S' then
            plain = plain and plain + 4
          else
            plain = nil
            if effect == 'E' then
              entry.timed = true
            elseif effect == 'C' then
              entry.wide = E.union(entry.wide or {}, body[p + 2])
            end
          end
          p = p + size
        end
        if p ~= n + 1 then return nil, 'entry ' .. id .. ' is cut short' end
        if nth ~= count then return nil, 'entry ' .. id .. ' has other runs than it says' end
        if plain and plain > 0 then entry.plain = plain end
      elseif kind == 'f' then
        if not E.is_vector(body[3]) then return nil, 'entry ' .. id .. ' has no frontier' end
      elseif kind ~= 't' then
        return nil, 'entry ' .. id .. ' is of an unknown kind'
      end
      list[#list + 1] = entry
      i = i + 3 + count
    end
    if next_(new) and E.too_many_origins(frontier, new) then return nil, 'there are more epochs than can be' end
    return list
  end

  function E.read_frontier()
    local map, all = {}, call('HGETALL', FRONTIER)
    for i = 1, #all, 2 do map[all[i]] = tonumber_(all[i + 1]) end
    return map
  end

  -- note_newest keeps the newest entry with effects of an origin, and how many effects its epoch had had with it.
  function E.note_newest(o, at, count)
    call('HSET', NEWEST, o, format('%.0f %.0f', at, count))
  end

  -- newest_of answers both, 0 and 0 for an origin without.
  function E.newest_of(o)
    local at, count = match(call('HGET', NEWEST, o) or '', '^(%d+) (%d+)$')
    return tonumber_(at or 0), tonumber_(count or 0)
  end

  local function read_context(o)
    local raw = call('HGET', CONTEXT, o)
    return raw and munpack(raw) or {}
  end

  -- forget_epochs forgets what the region of an origin that began had seen in other epochs: it may have lost that, and their
  -- numbers do not tell which is newest when its Redis was emptied.
  local function forget_epochs(o)
    local all = call('HKEYS', CONTEXT)
    for i = 1, #all do
      if all[i] ~= o and region(all[i]) == region(o) then call('HDEL', CONTEXT, all[i]) end
    end
  end

  -- uncovered names the first stamp of a context that has not arrived here.
  local function uncovered(context, frontier, own)
    for o, at in pairs_(context) do
      if region(o) ~= own and (frontier[o] or 0) < at then return o, at end
    end
  end

  -- wants_values finds a TTL effect on a key whose data has expired here, natively, although the effect extends it: the
  -- values must be fetched from the effect's origin first. Keys that the entry itself overwrites before are no matter.
  local function wants_values(body, runs, entry)
    local d, written, p, n, nth = 0, {}, 4, #body, 0
    while p <= n do
      local kind = body[p]
      if kind == 'D' then
        d = body[p + 1]
      else
        local k = KEY_AT[kind] and body[p + KEY_AT[kind]]
        if kind == 'F' then return nil end
        if kind == 'E' and not written[d .. ':' .. k] and (body[p + 2] == 0 or body[p + 2] > now)
          and E.refilled[d .. ':' .. k] ~= entry then
          E.select(d)
          local found
          if call('EXISTS', k) == 0 then
            local S = E.open(k)
            found = S.form and E.any_live(S)
          end
          E.select(0)
          if found then return d, k end
        end
        if kind == 'S' or kind == 'R' or kind == 'O' then written[d .. ':' .. k] = true end
        if kind == 'M' then
          nth = nth + 1
          for q = 1, #runs[nth], 4 do written[d .. ':' .. runs[nth][q]] = true end
        end
      end
      p = p + SIZE[kind]
    end
  end

  -- each_effect calls f for each effect of an entry of ours, with database, kind and values; runs come as single writes of strings. fields are those
  -- of the log entry.
  function E.each_effect(body, fields, f)
    local p, s, d = 4, 4, 0
    while p <= #body do
      local kind = body[p]
      if kind == 'D' then
        d = body[p + 1]
      elseif kind == 'M' then
        local run = munpack(fields[s])
        for q = 1, #run, 4 do f(d, 'S', run[q]) end
        s = s + 2
      else
        f(d, kind, body[p + 1], body[p + 2], body[p + 3])
      end
      p = p + SIZE[kind]
    end
  end

  -- written_value gives the value that effect n of one of our entries wrote to an element of a key ("" for a string), or
  -- nil. fields are those of the log entry.
  function E.written_value(body, fields, n, k, element)
    local p, ordinal, s = 4, 0, 4
    while p <= #body do
      local kind = body[p]
      local counts = kind ~= 'D' and kind ~= 'C'
      if counts then ordinal = ordinal + 1 end
      if ordinal == n and counts then
        if kind == 'S' or kind == 'W' or kind == 'O' then return body[p + 2] end
        if kind == 'M' then
          local run = munpack(fields[s])
          for q = #run - 3, 1, -4 do
            if run[q] == k then return run[q + 1] end
          end
        end
        if kind == 'L' then return body[p + 2] == element and body[p + 3] or nil end
        if kind == 'l' then
          local _, _, _, index = E.made(element)
          return body[p + 3][index]
        end
        if kind ~= 'a' and kind ~= 'A' then return nil end
        local list = body[p + 4]
        if body[p + 1] == 's' then return '' end
        for i = 1, #list, 2 do
          if list[i] == element then return list[i + 1] end
        end
        return nil
      end
      if kind == 'M' then s = s + 2 end
      p = p + SIZE[kind]
    end
  end

  -- record ends a call that took something from another region: the frontier record, if a frontier is given, the ledger, and
  -- removals of keys whose values turned out to be lost.
  function M.record(frontier)
    E.select(0)
    if frontier then
      call('XADD', LOG, E.entry_id(t), 'b', mpack({'f', origin, frontier, written}), 'k', mpack(M.touched()))
      last_t = t
    end
    for i = 1, #E.conflicts do call('XADD', CONFLICTS, 'MAXLEN', '~', 1000, '*', 'b', E.conflicts[i]) end
    if #E.lost > 0 then
      t = t + 1
      E.begin_entry()
      stamp_prefix = mpack(1, origin, t)
      for i = 1, #E.lost do
        E.select(E.lost[i][1])
        local S = E.open(E.lost[i][2])
        E.lift(S)
        if E.missing(S) and not E.passed(S.rec) then -- no later effect of this call has overwritten it
          S = E.open(S.k)
          call('UNLINK', S.k)
          E.remove_local(S)
        end
      end
    end
    E.finish()
  end

  -- FCALL anabranch_apply origin position { id body count run… }…
  function E.apply(argv)
    local refused = E.begin(0) or E.refuse_unrecorded()
    if refused then return refused end
    local o, position = argv[1], tonumber_(argv[2])
    local frontier = E.read_frontier()
    local at = frontier[o] or 0
    local from = region(o)
    if not from or not position then return {err = 'ERR anabranch: origin or position is not valid'} end
    if call('SISMEMBER', PAUSED, from) == 1 then return {format('%.0f', at), 0, 'paused', ''} end
    if call('HEXISTS', MERGES, 'all') == 1 then return {format('%.0f', at), 0, 'merges', ''} end
    if position > at then return {format('%.0f', at), 0, 'gap', format('%.0f', at)} end
    local own = region(origin)
    if from == own then return {err = 'ERR anabranch: these are our own effects'} end
    local context, context_changed, checked = read_context(o), false, false
    local begun -- a new epoch
    local done, status, detail = 0, 'ok', ''
    local applied, highest, newest, count = 0, 0, nil, 0
    E.touched, E.lost, E.conflicts = {}, {}, {}
    M.late = nil

    -- Keys that a merge brought may have stamps of origins that the frontier has nothing of.
    local led = E.some_ahead and E.led_origins() or {}

    local function keep_position()
      frontier[o] = at
      E.select(0)
      call('HSET', FRONTIER, o, format('%.0f', at))
      if newest then E.note_newest(o, newest, count) end
      newest = nil
      if context_changed then call('HSET', CONTEXT, o, mpack(context)) end
      if begun then forget_epochs(o) end
      begun = nil
    end

    local dirty = false
    local entries, problem = read_entries(argv, from, frontier)
    if not entries then return {err = 'ERR anabranch: ' .. problem} end
    local i = 1
    while i <= #entries do
      local entry = entries[i]
      local et, body = entry.t, entry.body
      local taken, written = 1, nil
      local kind, eo = body[1], body[2]
      if eo ~= o then
        -- The origin began a new epoch.
        if dirty then keep_position() end
        o, at = eo, frontier[eo] or 0
        context, context_changed, checked, dirty = read_context(o), false, false, false
      end
      if et > at then
        if kind == 'f' then
          context, context_changed, checked = body[3], true, false
        elseif kind == 't' then
          -- The new epoch's first record, which says what it has seen, follows.
          context, context_changed, checked, begun = {}, true, false, true
        else
          if not checked then
            local missing, wanted = uncovered(context, frontier, own)
            if missing then
              status, detail = 'wait', missing .. ' ' .. format('%.0f', wanted)
              break
            end
            checked = true
          end
          if entry.wide then
            local missing, wanted = uncovered(entry.wide, frontier, own)
            if missing then
              status, detail = 'wait', missing .. ' ' .. format('%.0f', wanted)
              break
            end
          end
          E.select(0)
          if entry.plain then taken, written = M.set_entries(entries, i, context) end
          if written then
            applied = applied + written
            et = entries[i + taken - 1].t
          else
            taken = 1
            if entry.timed then
              local fd, fk = wants_values(body, entry.runs, o .. ' ' .. format('%.0f', et))
              if fd then
                status, detail = 'fetch', fd .. ' ' .. fk
                break
              end
              E.refilled = {}
            end
            local effects = E.effects
            remote = {o = o, t = et, op = 0, seen = context, context = context, prefix = mpack(1, o, et), runs = entry.runs}
            E.stamp_fields = {'n' .. o, 'n' .. origin}
            for other in pairs_(frontier) do
              if other ~= o then E.stamp_fields[#E.stamp_fields + 1] = 'n' .. other end
            end
            for other in pairs_(led) do
              if other ~= o and not frontier[other] then E.stamp_fields[#E.stamp_fields + 1] = 'n' .. other end
            end
            E.select(0)
            local p, n = 4, #body
            while p <= n do
              local effect = body[p]
              local skip
              if effect ~= 'D' and effect ~= 'C' then
                remote.op = remote.op + 1
                local k = KEY_AT[effect] and body[p + KEY_AT[effect]]
                if M.late and (effect ~= 'a' or body[p + 1] ~= 'x') then M.settle_entries(db, k) end
                if k then
                  if remote.wide then remote.seen = M.context_of(k) end
                  skip = E.some_ahead and M.skips(k)
                end
              end
              if skip then p = p + SIZE[effect] else p = effects[effect](body, p) end
            end
            applied = applied + remote.op
            remote = nil
          end
          newest, count = et, entries[i + taken - 1].body[3]
          if et > highest then highest = et end
        end
        at, dirty = et, true
      else
        E.stats.skipped_entries = E.stats.skipped_entries + 1
      end
      done = done + taken
      i = i + taken
    end
    M.settle_entries()
    if dirty then keep_position() end
    E.stats.applied_entries = E.stats.applied_entries + done
    E.stats.applied_effects = E.stats.applied_effects + applied
    if E.some_ahead and done > 0 then E.catch_up(frontier) end
    if applied > 0 and highest >= t then t = highest + 1 end
    M.record(applied > 0 and frontier)
    return {format('%.0f', at), done, status, detail}
  end

  local lazy -- DEBUG SET-ACTIVE-EXPIRE 0: what is due waits until somebody writes to it

  -- XCRDT.LAZY 1 or 0
  E.handlers['XCRDT.LAZY'] = function(argv, i, n)
    lazy = argv[i + 1] == '1'
    return {ok = 'OK'}
  end

  -- FCALL anabranch_expire limit
  function E.expire(argv)
    local refused = E.begin(0)
    if refused then return refused end
    if E.some_ahead then E.catch_up(E.read_frontier()) end
    E.select(0)
    if lazy or unrecorded then return 0 end
    local due = call('ZRANGEBYSCORE', TTLS, '-inf', now, 'LIMIT', 0, argv[1])
    for i = 1, #due do
      local colon = find(due[i], ':', 1, true)
      E.select(tonumber_(sub(due[i], 1, colon - 1)))
      local S = E.open(sub(due[i], colon + 1))
      S.timed = true
      if S.form and E.passed(S.rec) then
        call('UNLINK', S.k)
        E.remove_local(S)
        E.stats.expired = E.stats.expired + 1
      else
        E.note_ttl(S)
      end
    end
    E.finish()
    return #due
  end
end
