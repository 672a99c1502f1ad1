-- Removal of a large set, hash or sorted set that another region has added to meanwhile. The long way (60_merge.lua) makes tables of
-- every element, seconds of work for a million of them; here it is enough to go through the cells once and put back the few that the
-- removal has not seen.

do
  local M = E.merge
  local LARGE = 500 -- cells; for fewer the long way does
  local PAGE = 1000

  -- unseen gathers the cells that the removal has not seen, field → cell, or answers nil where a cell is no plain write: shares, or
  -- writes that compete for one element.
  local function unseen(S)
    local known, found, cursor = {}, {}, '0' -- cells of one command are the same bytes
    repeat
      local page = call('HSCAN', S.ck, cursor, 'COUNT', PAGE)
      cursor = page[1]
      local list = page[2]
      for i = 1, #list, 2 do
        local kind = byte(list[i], 1)
        if kind and kind ~= 110 then
          local raw = list[i + 1]
          local seen = known[raw]
          if seen == nil then
            if byte(raw, 1) ~= 1 then return nil end
            local _, o, at, n = munpack(raw)
            seen = E.seen(o, at, n)
            known[raw] = seen
          end
          if not seen then found[list[i]] = E.decode(raw) end
        end
      end
    until cursor == '0'
    return found
  end

  local READ = {h = 'HGET', z = 'ZSCORE', s = 'SISMEMBER'}
  local WRITE = {h = 'HSET', z = 'ZADD', s = 'SADD'}

  -- remove_most removes what the remote effect has seen of an open key. It answers false, and has changed nothing, where only the
  -- long way knows what to do.
  function M.remove_most(S)
    local rec, k, r = S.rec, S.k, remote
    if S.form ~= 'h' or rec.c or rec.q or rec.y or rec.T or rec.s or not M.all_seen(rec) or call('HLEN', S.ck) < LARGE then return false end
    local letter = E.native_type(k)
    if not WRITE[letter] then return false end
    local cells = unseen(S)
    if not cells then return false end
    local list, newest = {}, nil
    for field, cell in pairs_(cells) do
      local element = sub(field, 2)
      local value = sub(field, 1, 1) == letter and call(READ[letter], k, element)
      if not value or value == 0 then return false end
      if letter == 'z' then list[#list + 1] = value end
      list[#list + 1] = element
      if letter == 'h' then list[#list + 1] = value end
      local top = E.newest(cell)
      if not newest or E.after(top, newest) then newest = top end
    end
    call('UNLINK', k)
    E.in_parts(call, WRITE[letter], k, list)
    E.reset(rec)
    rec.b, rec.x = nil, {r.o, r.t, r.op}
    if newest then M.survived(k, letter, '', newest, rec.x) end
    S.cells, S.newest = cells, {}
    E.write_companion(S, newest and letter)
    S.cells = nil
    return true
  end
end
