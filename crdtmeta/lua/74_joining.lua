-- Joining with data of one's own: a region that held data before it met the others takes over theirs. What it has beyond that
-- becomes a write of its own. Where both have something else in the same place theirs stays, and the ledger says so.

do
  local M = E.merge
  local RULE = 'the data that was there first stays'
  local PART = 2000 -- elements in one effect

  -- type_in is the type of what a state shows, or nil. rest are the elements that it lists apart.
  function E.type_in(rec, cells, rest)
    if type_(rec) == 'string' or #rec.w > 0 or E.shares_live(rec) then return 'k' end
    if rest then return rest.letter end
    for field, cell in pairs_(cells) do
      if E.live(cell) then return sub(field, 1, 1) end
    end
  end

  local function lost(k, letter, element, theirs, value)
    local same = theirs[4] == value or letter == 'z' and tonumber_(theirs[4]) == tonumber_(value)
    if not same then M.report(k, letter, element, RULE, theirs, {'', 0, 0, value}) end
  end

  local function live_cells(cells)
    local n = 0
    for _, cell in pairs_(cells) do
      if E.live(cell) then n = n + 1 end
    end
    return n
  end

  -- elements lists what a key shows as effects have it, with its stride.
  local function elements(k, letter)
    if letter ~= 'x' then return E.elements(k, letter) end
    local all, list = call('XRANGE', k, '-', '+'), {}
    for i = 1, #all do
      list[#list + 1] = all[i][1]
      list[#list + 1] = mpack(all[i][2])
    end
    return list, 2
  end

  -- write_beyond makes writes of ours of the elements that a key has and theirs has not.
  local function write_beyond(k, letter, cells, rest)
    local all, step = elements(k, letter)
    local part, apart = {}, {} -- element → value
    for i = 1, rest and #rest.list or 0, step do apart[rest.list[i]] = rest.list[i + step - 1] end
    local function flush()
      if #part > 0 then E.written(E.open_elements(k), letter, part, step) end
      part = {}
    end
    for i = 1, #all, step do
      local cell = cells[letter .. all[i]]
      if apart[all[i]] then
        if step == 2 then lost(k, letter, all[i], {'', 0, 0, apart[all[i]]}, all[i + 1]) end
      elseif cell and E.live(cell) then
        local theirs = letter ~= 'x' and step == 2 and E.winner(cell)
        if theirs then lost(k, letter, all[i], theirs, all[i + 1]) end
      else
        for j = i, i + step - 1 do part[#part + 1] = all[j] end
        if #part >= PART then flush() end
      end
    end
    flush()
  end

  -- keep_own does so for a key from before, all of whose writes may be without stamps.
  function E.keep_own(k, rec, cells, rest, from, began)
    local ours = E.native_type(k)
    if not ours then return end
    local S = E.open(k)
    if S.form and (not S.rec.b or E.met(S.rec, from, began)) then return end
    local theirs = E.type_in(rec, cells, rest)
    if not theirs then
      if ours == 's' or ours == 'h' or ours == 'z' then
        E.content(E.open_elements(k))
      else
        E.repair(k)
      end
    elseif theirs == ours and (ours == 's' or ours == 'h' or ours == 'z' or ours == 'x') then
      write_beyond(k, ours, cells, rest)
    elseif theirs == 'k' and ours == 'k' then
      local value = type_(rec) == 'string' and cells or #rec.w > 0 and E.winner(rec)[4]
      if value then lost(k, 'k', '', {'', 0, 0, value}, call('GET', k)) end
    elseif theirs ~= ours or call('LLEN', k) ~= (rest and #rest.list or live_cells(cells)) then
      M.report(k, ours, '', RULE, {'', 0, 0, ''}, {'', 0, 0, ''})
    end
  end
end
