-- Merging the state of keys: what another region has of a key, and what it has seen, is joined with what this region has. It
-- serves a region that the log can no longer serve.
--
-- The rule is one for all: what only one side has stays if the other side has not seen it, and goes if it has, because then the
-- other side knew it and removed it. Sides differ in what they have collected: a write that one side has as known to every
-- region the other may still have under its stamp. As long as neither side has removed it they mean the same.

do
  local M = E.merge
  local mine, yours -- what this region has seen of the key at work, and the other one: functions of origin and t
  local whole       -- the other region is right about all that has no stamp of its own
  local gone        -- but for what this region has removed of the key at work (73_removals.lua): a function of the field, or nil
  local spared      -- the type of which no element is removed so, if that is all that is known
  local removed     -- whether that is so of the field at work
  local dropped     -- whether something was left out for that

  -- Both sides of a state: what a region sends of one key. A plain string is its record's bytes and the value; else the record
  -- with the vector that it is ahead by, the cells by field, all with their values, the last id of a stream, and the elements that every
  -- region knows: their type and a list of them, of a list also the entries of their places.
  local function state_of(k)
    local S = E.open(k)
    local v = S.form == 's' and byte(S.raw, 1) == 1 and try('GET', k)
    if type_(v) == 'string' then return mpack(S.raw, v) end
    S.rest = E.known_list(S)
    if not S.rest then E.lift(S, true, true) end
    if E.missing(S) and not E.passed(S.rec) then
      -- Evicted, or removed past the engine: that is to be said first.
      S.cells = nil
      call('UNLINK', k)
      E.remove_local(S)
      S = E.open(k)
      E.lift(S, true, true)
    end
    local rec, cells, rest = S.rec, {}, S.rest
    for field, cell in pairs_(S.cells) do
      if cell.g or cell.d then
        cells[field] = {w = {}, g = cell.g, d = cell.d}
      elseif sub(field, 1, 2) ~= 'xl' and not (sub(field, 1, 2) == 'xg' and cell.l) then
        cells[field] = cell
      end
    end
    if rest and #rest.list == 0 then rest = nil end
    if not S.form and not next_(cells) and #rec.w == 0 and not rest then return '' end
    rec.v = E.ahead_of(rec)
    if rest then return mpack(rec, cells, '', rest.letter, rest.list, rest.entries) end
    return mpack(rec, cells, S.last or '')
  end

  -- on_key calls f, and answers what it answers, or nil and an error that names the key which is selected.
  local function on_key(k, f, ...)
    local d = db
    local good, reply = ppcall(f, k, ...)
    if good then return reply end
    if type_(reply) == 'table' then reply = reply.err end
    return nil, {err = format('ERR anabranch: key %d:%s: %s', d, sub(k, 1, 256), tostring_(reply))}
  end

  -- position is where this region stands: all that it has, the newest frontier record of each origin, its own included, and how many
  -- effects of each origin that is. A region that has merged everything up to there goes on with the logs.
  local function position(frontier)
    local contexts, all = {}, call('HGETALL', CONTEXT)
    for i = 1, #all, 2 do contexts[all[i]] = munpack(all[i + 1]) end
    contexts[origin] = E.read_frontier()
    local counts = {[origin] = written}
    for o in pairs_(frontier) do
      if o ~= origin then
        local _, count = E.newest_of(o)
        counts[o] = count
      end
    end
    return mpack(frontier, contexts, counts)
  end

  -- FCALL anabranch_states self limit { db key }…: the frontier, our own log's end included, and the states of the first keys, as many
  -- as fit into limit bytes, but at least one. Without keys, the position. A database with a minus before it means: unless the
  -- key is there; the answer is "+" then. Nothing is answered in another epoch than self.
  function E.states(argv)
    local refused = E.begin(0)
    if refused then return refused end
    if argv[1] ~= origin then return {} end
    local limit, bytes, replies = tonumber_(argv[2]), 0, {''}
    if not limit then return {err = 'ERR anabranch: malformed call'} end
    for i = 3, #argv - 1, 2 do
      local d, absent = match(argv[i], '^-?(%d+)$'), byte(argv[i], 1) == 45
      if not d or E.reserved(argv[i + 1]) then return {err = 'ERR anabranch: malformed call'} end
      E.select(tonumber_(d))
      local state, failed = '+', nil
      if not absent or call('EXISTS', argv[i + 1]) == 0 then state, failed = on_key(argv[i + 1], state_of) end
      if failed then
        E.finish()
        return failed
      end
      replies[#replies + 1] = state
      bytes = bytes + #state
      if bytes >= limit then break end
    end
    E.finish()
    E.select(0)
    local frontier = E.read_frontier()
    frontier[origin] = last_t
    replies[1] = #argv > 2 and mpack(frontier) or position(frontier)
    return replies
  end

  local function same(a, b)
    return a[1] == b[1] and a[2] == b[2] and a[3] == b[3]
  end

  local function has(list, w)
    for i = 1, #list do
      if same(list[i], w) then return list[i] end
    end
  end

  -- kept_of gives those of two lists of stamped things that are on both sides, or not seen by the side that lacks them.
  local function kept_of(ours, theirs)
    local out = {}
    for i = 1, #ours do
      local w = ours[i]
      local other = has(theirs, w)
      if other or not yours(w[1], w[2]) then out[#out + 1] = whole and other or w end
    end
    for i = 1, #theirs do
      local w = theirs[i]
      if not has(ours, w) and not mine(w[1], w[2]) then out[#out + 1] = w end
    end
    return out
  end

  local function first(list, f)
    for i = 1, #list do
      if f(list[i]) then return list[i] end
    end
  end

  local function nothing() return false end

  -- collected tells which base counts where both sides have one, and only the stamp is the same: one that came of collection replaces one
  -- that had another write beside it, which is the write that was collected. other and seen are of the side that has the base.
  local function collected(list, base, other, seen)
    return first(list, function(x) return not same(x, base) and seen(x[1], x[2]) and not has(other, x) end)
  end

  -- joined_writes merges the writes of a cell. A base is a write that every region may know without its stamp: data that is
  -- known to all, and what a list's element was made with. It stands for whatever the other side has, and this side has seen.
  local function joined_writes(ours, theirs, is_base)
    local base, w, seen = nil, nil, mine
    local my_base, your_base = first(ours, is_base), first(theirs, is_base)
    local other_base = my_base and not (your_base and same(my_base, your_base))
    -- In a merge of everything it does not: theirs counts, also what this region itself has written. That was collected here, not removed.
    if whole and other_base then mine = nothing end
    if other_base and first(theirs, function(x) return mine(x[1], x[2]) end) then base = my_base end
    if not base and your_base and not (my_base and same(my_base, your_base)) then
      if first(ours, function(x) return yours(x[1], x[2]) end) then base = your_base end
    end
    if my_base and your_base and not other_base and collected(ours, my_base, theirs, yours) then
      local mutual = collected(theirs, your_base, ours, mine)
      -- Never by Lua's own order of strings, which is the server's locale's.
      if not mutual or redis.sha1hex(tostring_(your_base[4])) > redis.sha1hex(tostring_(my_base[4])) then my_base[4] = your_base[4] end
    end
    w = kept_of(ours, theirs)
    if base and not has(w, base) then w[#w + 1] = base end
    mine = seen
    return w
  end

  -- later_stamp is the later one of two maps origin → {t, op}, for each origin.
  local function later_stamps(a, b)
    if not b then return a end
    a = a or {}
    for o, x in pairs_(b) do
      local y = a[o]
      if not y or x[1] > y[1] or (x[1] == y[1] and x[2] > y[2]) then a[o] = x end
    end
    return a
  end

  -- joined_shares merges counter shares. Of one share the later sum and the later offset count; one that began later replaces
  -- one that is over. A share that one side lacks and has seen has come to nothing there. taken says that theirs brought something.
  local function joined_shares(ours, theirs)
    local out, taken = {}, nil
    for o, s in pairs_(ours or {}) do
      if (theirs and theirs[o]) or not yours(o, s[3]) then out[o] = s end
    end
    for o, s in pairs_(theirs or {}) do
      local m = ours and ours[o]
      if not m then
        if not mine(o, s[3]) then out[o], taken = s, true end
      elseif m[1] ~= s[1] or m[2] ~= s[2] then
        if s[1] > m[1] or (s[1] == m[1] and s[2] > m[2]) then out[o], taken = s, true end
      else
        if s[3] > m[3] or (s[3] == m[3] and s[4] > m[4]) then
          m[3], m[4], m[5], m[9], taken = s[3], s[4], s[5], s[9] or m[9], true
        end
        if s[6] > m[6] or (s[6] == m[6] and s[7] > m[7]) then m[6], m[7], m[8] = s[6], s[7], s[8] end
      end
    end
    return next_(out) and out or nil, taken
  end

  -- A HyperLogLog: registers are joined, unless one side has a removal that the other side's have not seen.
  local function joined_registers(k, a, b)
    a, b = a or E.no_registers(), b or E.no_registers()
    local over, unwanted = M.unseen(b.e, mine), M.unseen(a.e, yours)
    local w, j = {}, {}
    if over then M.taken_away(k, over, M.unseen(a.j, yours)) else w, j = a.w, a.j end
    if unwanted then
      M.taken_away(k, unwanted, M.unseen(b.j, mine))
    else
      for i = 1, #b.w do w[#w + 1] = b.w[i] end -- under the same stamp it may have joined others
      for o, at in pairs_(b.j) do
        if at > (j[o] or 0) then j[o] = at end
      end
    end
    return {w = w, j = j, e = later_stamps(a.e, b.e)}
  end

  -- A consumer group: a creation lives if it has seen every destruction.
  local function joined_group(k, name, a, b, all_mine, all_yours)
    local g = {}
    local over = M.unseen(b.d, mine) or M.unseen(all_yours, mine)
    local unwanted = M.unseen(a.d, yours) or M.unseen(all_mine, yours)
    local writes = joined_writes(a.g or {}, b.g or {}, function(c) return c[1] == '' end)
    for i = 1, #writes do
      local c = writes[i]
      local ours, theirs = has(a.g or {}, c), has(b.g or {}, c)
      local d = ours and over or theirs and unwanted
      if (ours and theirs) or not d then
        g[#g + 1] = c
      else
        local known = yours
        if theirs then known = mine end
        if not known(c[1], c[2]) then M.group_ended(k, name, d, c[1], c[2], c[3], 'created after ' .. c[4]) end
      end
    end
    a.g, a.d = #g > 0 and g or nil, later_stamps(a.d, b.d)
    if not a.g then a.l, a.m, a.k = nil, nil, nil end
    return a
  end

  local function is_known(w) return w[1] == '' end

  -- alike says that a cell has the same write on both sides, and nothing else.
  local function alike(a, b)
    if #a.w ~= 1 or #b.w ~= 1 or a.s or b.s or a.j or b.j or a.g or b.g or a.d or b.d then return false end
    return same(a.w[1], b.w[1])
  end

  -- joined_cell merges one cell; either side may be missing.
  local function joined_cell(k, field, a, b, all_mine, all_yours)
    removed = gone and gone(field)
    if a and b and alike(a, b) then
      if whole then a.w = b.w end
      return a
    end
    local letter = sub(field, 1, 1)
    if field == 'p' then return joined_registers(k, a, b) end
    a, b = a or {w = {}}, b or {w = {}}
    if sub(field, 1, 2) == 'xg' then return joined_group(k, sub(field, 3), a, b, all_mine, all_yours) end
    if sub(field, 1, 2) == 'xl' then return a end
    local is_base = is_known
    if letter == 'l' then
      local o, at, n = E.made(sub(field, 2))
      -- An element goes with the write that made it.
      if #a.w == 0 and mine(o, at) then return {w = {}} end
      if #b.w == 0 and yours(o, at) then return {w = {}} end
      is_base = function(w) return w[1] == o and w[2] == at and w[3] == n end
    end
    local before, shares, taken = #a.w, joined_shares(a.s, b.s)
    local cell = {w = joined_writes(a.w, b.w, is_base), s = shares}
    if #cell.w > 1 and #cell.w > before and field ~= 'x' and letter ~= 's' then
      M.conflict(k, letter, letter == 'l' and '' or sub(field, 2), cell)
    end
    if taken or #cell.w > before then M.summed(k, letter, sub(field, 2), cell) end
    return cell
  end

  -- Where a write means "no TTL", that is one of the candidates, under the write's stamp.
  local function candidates(rec)
    local list = {}
    for i = 1, #rec.w do
      local w = rec.w[i]
      if w[5] then list[#list + 1] = {w[1], w[2], w[3], 0} end
    end
    for i = 1, #(rec.T or {}) do
      if not has(list, rec.T[i]) then list[#list + 1] = rec.T[i] end
    end
    return list
  end

  -- without_ours decides on the times to live that a region in quarantine has set to a key, and the other region has not seen. The longest wins also
  -- over one that was collected there, and so does the lack of one, if the key is there. If it is not, all that is said of it there may be collected
  -- elsewhere, so ours is all.
  local function without_ours(ttls, theirs, there)
    local ours, others = {}, {}
    for i = 1, #ttls do
      local c = ttls[i]
      local list = c[1] ~= '' and E.our_region(c[1]) and not yours(c[1], c[2]) and ours or others
      list[#list + 1] = c
    end
    local best, limit = E.longest(ours), E.longest(theirs)
    if not there then return best and {best} or others end
    if best and limit and limit[4] ~= 0 and (best[4] == 0 or best[4] > limit[4]) then return {best} end
    return others
  end

  -- joined_record merges what is said of the key as a whole into the record of S. there says that the other region shows the key.
  local function joined_record(S, b, there)
    local a, said = S.rec, candidates(b)
    local before = dropped
    removed = gone and gone()
    local ttls = kept_of(candidates(a), said)
    removed, dropped = gone and gone(''), before
    if whole and held then ttls = without_ours(ttls, said, there) end
    local shares, taken = joined_shares(a.s, b.s)
    local joined = {w = joined_writes(a.w, b.w, is_known), s = shares}
    if #joined.w > 1 and #joined.w > #a.w then M.conflict(S.k, 'k', '', joined) end
    if taken or #joined.w > #a.w then M.summed(S.k, 'k', '', joined) end
    local T = {}
    for i = 1, #joined.w do joined.w[i][5] = false end
    for i = 1, #ttls do
      local w = ttls[i][4] == 0 and has(joined.w, ttls[i])
      if w and w[1] ~= '' then w[5] = true else T[#T + 1] = ttls[i] end
    end
    if a.T or #T > 0 then S.timed = true end
    a.w, a.s, a.T = joined.w, joined.s, #T > 0 and T or nil
    a.d = later_stamps(a.d, b.d)
    local x = b.x and (not a.x or E.after(b.x, a.x)) and b.x or a.x
    a.x = #a.w == 0 and x or nil
  end

  -- fill_from gives writes the values that only the other side still has; fill does so for both sides.
  local function fill_from(list, other)
    for i = 1, #list do
      if list[i][4] == false then
        local w = has(other, list[i])
        if w then list[i][4] = w[4] end
      end
    end
  end

  local function fill(a, b)
    if not a or not b then return end
    fill_from(a.w, b.w)
    fill_from(b.w, a.w)
  end

  -- settle_ours decides between the other region's writes and ours that it has not seen, for all: elsewhere the stamps of its own may be collected by
  -- then, so that nobody could tell which are newer. Ours get a new stamp where that is so already, and otherwise go where they are older.
  -- It is for a region in quarantine, whose log is told to nobody.
  local function settle_ours(S)
    local function ours(x) return x[1] ~= '' and E.our_region(x[1]) and not yours(x[1], x[2]) end
    local function each(f)
      f('k', '', S.rec)
      for field, cell in pairs_(S.cells) do
        if cell.w then f(sub(field, 1, 1), sub(field, 2), cell) end
      end
    end
    local known = {} -- type → true
    each(function(letter, _, cell)
      if first(cell.w, is_known) then known[letter] = true end
    end)
    local nth = 0
    local function newest()
      nth = nth + 1
      return t, nth
    end
    each(function(letter, element, cell)
      local w, meets = cell.w, false
      for other in pairs_(known) do meets = meets or other ~= letter end
      local base = first(w, is_known)
      if letter == 'l' then
        local o, at, n = E.made(element)
        base = base or has(w, {o, at, n})
      end
      for i = 1, #w do
        if (base or meets) and w[i] ~= base and ours(w[i]) then
          local at, n = newest()
          w[i] = {origin, at, n, w[i][4], w[i][5]}
          if cell.j then cell.j[origin] = at end
        end
      end
      local share = meets and cell.s and cell.s[origin]
      if share and E.share_live(share) and not yours(origin, share[3]) then share[3], share[4] = newest() end
    end)
    local _, shown = M.remains(S)
    if S.rest then shown = S.rest.letter end
    each(function(letter, _, cell)
      local top, kept = E.winner(cell), {}
      if letter == shown and (cell.j or not top or ours(top)) then return end -- registers are joined, whichever are newer
      for i = 1, #cell.w do
        if not ours(cell.w[i]) then kept[#kept + 1] = cell.w[i] end
      end
      cell.w = kept
      if letter == shown then return end
      for o, at in pairs_(cell.j or {}) do
        if ours({o, at}) then cell.j[o] = nil end
      end
      for o, share in pairs_(cell.s or {}) do
        if ours({o, share[3]}) then cell.s[o] = nil end
      end
    end)
  end

  -- put_back gives a key whose data a passed TTL hides here what both sides know, as the other one has it.
  local function put_back(S, rec, cells)
    if #S.rec.w == 0 and #rec.w == 1 and is_known(rec.w[1]) then S.rec.w[1] = {'', 0, 0, rec.w[1][4], false} end
    for field, b in pairs_(cells) do
      if not S.cells[field] and #b.w == 1 and is_known(b.w[1]) then S.cells[field] = {w = {{'', 0, 0, b.w[1][4], true}}} end
    end
  end

  -- say_before says, by effects, what has to be said before the other region's effects are here, which it has not seen: that a key is
  -- gone although nothing says why, and what was here before the other region was met.
  local function say_before(k, state, joining, from, began)
    local S = E.open(k)
    if S.form and not E.passed(S.rec) and call('EXISTS', k) == 0 and E.any_live(S) then E.remove_local(S) end
    if joining then E.keep_own(k, state[2], state[3], state[5], from, began) end
  end

  local function say_all_before(argv, states, began)
    local failed
    for i = 7, #argv, 3 do
      E.select(tonumber_(argv[i]))
      local _, problem = on_key(argv[i + 1], say_before, states[i], argv[3] == 'joining', argv[2], began)
      failed = failed or problem
    end
    if op > 0 then
      E.finish()
      E.begin(0)
    end
    return failed
  end

  -- lead_by keeps with a record that its key is ahead of the frontier. Keys of one call are ahead by the same, most of them.
  local vectors
  local function lead_by(rec, vector)
    local text = {}
    for o, at in pairs_(vector) do text[#text + 1] = o .. ' ' .. format('%.0f', at) end
    sort(text)
    text = concat(text, ' ')
    if not vectors[text] then
      vectors.n = vectors.n + 1
      vectors[text] = format('%.0f.%d', t, vectors.n)
      E.new_vector(vectors[text], vector)
    end
    rec.v = vectors[text]
  end

  local function known_to_all(S)
    local n = #S.rec.w == 1 and is_known(S.rec.w[1]) and 1 or 0
    for _, cell in pairs_(S.cells) do
      if #cell.w == 1 and is_known(cell.w[1]) then n = n + 1 end
    end
    return n
  end

  -- plainly merges a string that is nothing else on either side, unless writes of it are concurrent. It answers false, having
  -- done nothing, in any other case.
  local function plainly(S, raw, v, vector)
    local _, o, at, n = munpack(raw)
    if S.form == 'h' or (S.form and byte(S.raw, 1) ~= 1) then return false end
    if S.form then
      local w = S.rec.w[1]
      if same(w, {o, at, n}) or not yours(w[1], w[2]) or mine(o, at) then return false end
    elseif mine(o, at) or call('EXISTS', S.k) == 1 then
      return false
    end
    S.rec.w = {{o, at, n, false, true}}
    if vector then lead_by(S.rec, vector) end
    call('SET', S.k, v)
    E.save(S)
    return true
  end

  -- only says that a side has nothing but elements of one type.
  local function only(letter, rec, cells)
    if #rec.w > 0 or rec.s or rec.y then return false end
    for field in pairs_(cells) do
      if sub(field, 1, 1) ~= letter then return false end
    end
    return true
  end

  local NONE = {}

  -- joined_rest merges the elements that every region knows, as joined_cell would, and makes cells only of those that something else is said of.
  -- It answers how many elements every region knew, and how many of them need no cell. Where a type may hide another one, it makes cells of all,
  -- and answers nil.
  local function joined_rest(S, rec, cells, theirs)
    local ours = S.rest
    local letter, list = (theirs or ours).letter, theirs and theirs.list or NONE
    local places = letter == 'l' and E.spelt(theirs.entries, #list)
    if (theirs and ours and theirs.letter ~= ours.letter) or (not ours and S.form) or not only(letter, S.rec, S.cells) or not only(letter, rec, cells)
      or (places and (not S.absent or next_(cells))) or (gone and spared ~= letter) then
      if ours then E.spread(ours.letter, ours.list, S.cells) end
      if theirs then E.spread(letter, list, cells, places) end
      S.rest = nil
      return nil, 0
    end
    local had = known_to_all(S)
    removed = false
    S.rest = ours or E.apart(letter, {}, places)
    local step = (letter == 'h' or letter == 'z') and 2 or 1
    if #S.rest.list == 0 and not next_(S.cells) and not next_(cells) then
      if not mine('', 0) then S.rest.new = list end
      return had, #S.rest.new / step
    end
    local values, promoted, also = {}, {}, {}
    local own, new, off = S.rest.list, S.rest.new, S.rest.gone
    local function put(into, element, v)
      into[#into + 1] = element
      if step == 2 then into[#into + 1] = v end
    end
    for i = 1, #list, step do values[list[i]] = step == 2 and list[i + 1] or '' end
    for i = 1, #own, step do
      local element, v = own[i], step == 2 and own[i + 1] or ''
      local other = values[element]
      values[element] = nil
      if other == v or (other and not whole) then
        S.rest.kept = S.rest.kept + 1
      elseif other or cells[letter .. element] then
        put(promoted, element, v)
        if other then put(also, element, other) end
      else
        off[#off + 1] = element
      end
    end
    for element, v in pairs_(values) do
      if S.cells[letter .. element] then
        put(also, element, v)
      elseif not mine('', 0) and not cells[letter .. element] then
        put(new, element, v)
      end
    end
    E.spread(letter, promoted, S.cells)
    E.spread(letter, also, cells)
    return had + #own / step, S.rest.kept + #new / step
  end

  -- merge_key joins a key with its state in another region.
  local function merge_key(k, rec, cells, last_id, rest, theirs, frontier, from, began)
    local S = E.open(k)
    -- What another merge has brought does not count either where nothing does that was seen here: it is to come again with the logs.
    local ahead = not (whole and held) and E.ahead_of(S.rec) or nil
    local met = ahead and E.met(S.rec, from, began)
    local vector = theirs
    if type_(rec) == 'table' and rec.v then vector = E.union(E.union({}, theirs), rec.v) end
    function yours(o, at) return o == '' or at <= (vector[o] or 0) end
    function mine(o, at)
      -- Of a region that takes everything it does not count what it had seen. What it does now does, unless it may not write.
      if whole and o == '' then
        dropped = dropped or removed
        return met or removed
      end
      if whole then return not held and (o == origin or (ahead ~= nil and at <= (ahead[o] or 0))) end
      return o == '' or o == origin or at <= (frontier[o] or 0) or (ahead and at <= (ahead[o] or 0))
    end
    gone, spared = nil, nil
    if whole and not held then gone, spared = E.removed_here(k) end
    removed, dropped = gone and gone(''), false
    local all = ahead and E.union(E.union({}, vector), ahead) or vector
    local beyond = E.beyond(all, frontier)
    M.touch(k)
    if type_(rec) == 'string' then
      if plainly(S, rec, cells, beyond) then return end
      local _, o, at, n = munpack(rec)
      rec, cells = {w = {{o, at, n, cells, true}}}, {}
    end
    E.lift(S, true, true)
    local had, left, their_b, there = nil, 0, rec.b, E.type_in(rec, cells, rest) ~= nil
    if rest or S.rest then had, left = joined_rest(S, rec, cells, rest) end
    if S.absent and S.rec.b then put_back(S, rec, cells) end
    S.absent = nil
    had = had or known_to_all(S)
    for field, b in pairs_(cells) do fill(S.cells[field], b) end
    fill(S.rec, rec)
    local all_mine, all_yours = S.rec.d and later_stamps({}, S.rec.d), rec.d
    local merged = {}
    for field, a in pairs_(S.cells) do merged[field] = joined_cell(k, field, a, cells[field], all_mine, all_yours) end
    for field, b in pairs_(cells) do
      if not S.cells[field] then merged[field] = joined_cell(k, field, nil, b, all_mine, all_yours) end
    end
    S.cells = merged
    joined_record(S, rec, there)
    if whole and held then settle_ours(S) end
    local stays = known_to_all(S) + left
    if whole then
      S.rec.b = not dropped and their_b or nil
    elseif stays < had then
      S.rec.b = nil
    elseif had == 0 and stays > 0 then
      S.rec.b = true
    end
    S.rec.v = nil
    if beyond then lead_by(S.rec, beyond) end
    local as_was = not S.rest or (not S.timed and (S.rec.b or #S.rest.list == 0) and #S.rest.new == 0 and #S.rest.gone == 0)
    if as_was and not S.form and not S.rec.v and not next_(merged) and #S.rec.w == 0 and not S.rec.T and not S.rec.x and not S.rec.d then return end
    M.finish_full(S)
    if last_id and last_id ~= '' and E.native_type(k) == 'x' then M.last_id(k, last_id) end
  end

  -- read_state takes apart what state_of made: true, record, cells, last id; or false.
  local function read_state(state)
    if not state then return false end
    if state == '' then return true, {w = {}}, {} end
    local good, rec, cells, last_id, letter, list, entries = ppcall(munpack, state)
    if not good or not E.proper_state(rec, cells, last_id, letter, list, entries) then return false end
    return true, rec, cells, last_id, letter and {letter = letter, list = list, entries = entries}
  end

  -- forget_others takes the epochs of other regions out of the frontier that are not in a position.
  local function forget_others(frontier, upto)
    for o in pairs_(frontier) do
      if not upto[o] and not E.our_region(o) then
        frontier[o] = nil
        for _, map in pairs_({FRONTIER, NEWEST, CONTEXT}) do call('HDEL', map, o) end
      end
    end
  end

  -- step_back takes the frontier back to a position, where it is beyond, as a merge of everything begins: it voids what was seen here and there
  -- is not, and who acts on the frontier must not believe that it is here. All of that comes again with the logs.
  local function step_back(frontier, upto, contexts)
    forget_others(frontier, upto)
    for o, at in pairs_(frontier) do
      if o ~= origin and upto[o] and upto[o] < at then
        frontier[o] = upto[o]
        call('HSET', FRONTIER, o, format('%.0f', upto[o]))
        if contexts[o] then call('HSET', CONTEXT, o, mpack(contexts[o])) end
      end
    end
  end

  -- take_position moves this region's frontier to one that all its keys have been merged up to. After a merge of everything it
  -- may go back for third regions, whose logs are applied again from there.
  local function take_position(frontier, upto, contexts, counts)
    E.select(0)
    for o, at in pairs_(upto) do
      if o ~= origin and (whole or at > (frontier[o] or 0)) then
        frontier[o] = at
        call('HSET', FRONTIER, o, format('%.0f', at))
        local was, had = E.newest_of(o)
        if at > was then E.note_newest(o, at, counts[o] or had) end
        if contexts[o] then call('HSET', CONTEXT, o, mpack(contexts[o])) end
      end
    end
    if whole then forget_others(frontier, upto) end
  end

  -- Between its first piece and its end a merge has brought effects of third regions that no frontier record tells of yet: whoever
  -- has this region's log up to a place in between has not got them, although no later entry names their keys. So crdt:merges keeps
  -- when each began ("first:" and the other region), and when those that are over did ("ended:" and when).
  -- "all" is the region that everything is being merged from. Until that is over no logs are applied, nor other merges taken.
  -- "anew:" and that region is since when all that comes from there without a stamp is what it had then, or was written since.
  local FIRST, ENDED, PRUNED, ALL, ANEW = 'first:', 'ended:', 'pruned', 'all', 'anew:'
  local KEPT = 64 -- merges that are over; a place from before is as good as none

  local function note_begin(from)
    call('HSETNX', MERGES, FIRST .. from, format('%.0f', t))
  end

  -- note_all does so for one of everything. Another region's is void: its place was taken.
  local function note_all(from, progress)
    local other = call('HGET', MERGES, ALL)
    if other and other ~= from then call('HDEL', MERGES, other, ANEW .. other) end
    call('HSET', MERGES, ALL, from)
    if other ~= from or find(progress, '"anew":true', 1, true) then call('HSET', MERGES, ANEW .. from, format('%.0f', t)) end
  end

  -- note_end removes what crdt:merges says of a merge, or of all, and notes when it began.
  local function note_end(from, all)
    local first, ends, fields = nil, {}, call('HGETALL', MERGES)
    for i = 1, #fields, 2 do
      local name, value = fields[i], fields[i + 1]
      local of, te = match(name, '^first:(.*)$'), match(name, '^ended:(%d+)$')
      if te then
        ends[#ends + 1] = tonumber_(te)
      elseif of and (all or of == from) then
        first = (not first or tonumber_(value) < first) and tonumber_(value) or first
        call('HDEL', MERGES, name)
      elseif name ~= PRUNED and (name == from or (all and not of)) then
        call('HDEL', MERGES, name)
      end
    end
    if not first then return end
    call('HSET', MERGES, ENDED .. format('%.0f', t), format('%.0f', first))
    if #ends < KEPT then return end
    sort(ends)
    call('HDEL', MERGES, ENDED .. format('%.0f', ends[1]))
    call('HSET', MERGES, PRUNED, format('%.0f', ends[1]))
  end

  -- over says that a region has come back without some of what it gave: a later epoch of it is known than any that it told of.
  local function over(from, told, frontier)
    local function newest(vector)
      local n = -1
      for o in pairs_(vector) do
        if find(o, from .. '.', 1, true) == 1 and E.epoch_number(o) > n then n = E.epoch_number(o) end
      end
      return n
    end
    local n = newest(told)
    return n >= 0 and newest(frontier) > n
  end

  -- FCALL anabranch_merge self from mode progress upto vector { db key state }…: progress is kept in crdt:merges; "" ends the merge, of
  -- everything only if there is progress or a key. On each connection it begins without keys, and upto is where it will end. self is the
  -- origin in which the caller knows what it has merged: a server that came back without part of that is in another epoch.
  function E.merge_states(argv)
    local refused = E.begin(0) or E.refuse_unrecorded()
    if refused then return refused end
    if argv[1] ~= origin then return 'epoch' end
    local from, progress, theirs = argv[2], argv[4], munpack(argv[6])
    local upto, contexts, counts
    whole = argv[3] ~= 'changes'
    local begins = whole and progress ~= '' and #argv < 9
    if begins or progress == '' then upto, contexts, counts = munpack(argv[5]) end
    if type_(theirs) ~= 'table' or (upto and type_(counts) ~= 'table') then return {err = 'ERR anabranch: malformed call'} end
    if call('SISMEMBER', PAUSED, from) == 1 then return 'paused' end
    -- What is known to be lost must not spread any more: somebody may just be finding out who has the rest of it (syncer/claim.go).
    if over(from, upto or theirs, E.read_frontier()) then return 'over' end
    if call('HEXISTS', MERGES, from) == 0 then
      -- The end of a merge of everything, said once more because the answer got lost: the frontier may have moved on since, and must not go
      -- back again.
      if whole and progress == '' and #argv < 9 then return 'ok' end
      -- A merge of everything has ended meanwhile: what this one had merged before may have been taken back.
      if not whole and (progress == '' or #argv >= 9) then return 'anew' end
    end
    if not whole and call('HEXISTS', MERGES, ALL) == 1 then return 'anew' end
    -- Everything is read before the first of it changes anything.
    local states = {}
    for i = 7, #argv, 3 do
      local read = {read_state(argv[i + 2])}
      if not find(argv[i], '^%d+$') or E.reserved(argv[i + 1]) or not read[1] then
        return {err = 'ERR anabranch: the state of a key is none that a region gives'}
      end
      states[i] = read
    end
    local entering = whole and not held and #argv >= 9
    local problem = entering and E.know_removals(theirs, from)
    if problem then return problem end
    E.touched, E.lost, E.conflicts, vectors = {}, {}, {}, {n = 0}
    local began = tonumber_(call('HGET', MERGES, ANEW .. from))
    local failed = say_all_before(argv, states, began)
    if failed then return failed end
    E.select(0)
    local frontier, highest = E.read_frontier(), 0
    if upto and E.too_many_origins(frontier, upto) then return {err = 'ERR anabranch: there are more epochs than can be'} end
    for _, at in pairs_(theirs) do
      if at > highest then highest = at end
    end
    if E.too_far(highest) then return {err = 'ERR anabranch: a stamp is more than ten years ahead of this region'} end
    if highest >= t then t = highest + 1 end
    if entering then E.know_removals(theirs, from) end -- and what was just said
    M.late = nil
    for i = 7, #argv, 3 do
      local read = states[i]
      E.select(tonumber_(argv[i]))
      local _, problem = on_key(argv[i + 1], merge_key, read[2], read[3], read[4], read[5], theirs, frontier, from, began)
      if problem then
        M.record(frontier) -- what was merged before stays
        return problem
      end
      E.stats.merged_keys = E.stats.merged_keys + 1
    end
    E.select(0)
    if begins then step_back(frontier, upto, contexts) end
    if progress ~= '' then
      if whole then note_all(from, progress) end
      call('HSET', MERGES, from, progress)
      note_begin(from)
    else
      note_end(from, whole)
      if whole then E.forget_removals() end
      take_position(frontier, upto, contexts, counts)
      if whole and held then E.hold('merged everything: this region takes writes again in a moment') end
      E.catch_up(frontier)
    end
    M.record(frontier)
    if progress == '' then E.renew(frontier) end
    return 'ok'
  end
end
