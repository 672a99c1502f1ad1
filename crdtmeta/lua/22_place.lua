-- Places: the ids of list elements. A place says where an element stands among all elements that its list has ever had, and
-- which effect made it (docs/engine.md, 2). Places are compared bytewise, never by Lua's `<`.

local START, END = ' ', '\160' -- what a place begins with that LPUSH and RPUSH make
local COLD = 96                -- first byte of the place of an element from before Anabranch; also stands for an element's own place
local RUN = 9                  -- length of the entry for many cold elements in a row, which no place has

do
  local inverse, origins = nil, {}

  -- invert turns the order of strings of one length round.
  local function invert(s)
    if not inverse then
      inverse = {}
      for b = 0, 255 do inverse[char(b)] = char(255 - b) end
    end
    return (string.gsub(s, '.', inverse))
  end

  local function four(n)
    return char(floor(n / 16777216) % 256, floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
  end

  -- ordinal spells a number so that no spelling begins another one and greater numbers have greater spellings.
  local function ordinal(n)
    if n < 240 then return char(n) end
    if n < 65536 then return char(240, floor(n / 256), n % 256) end
    return char(241) .. four(n)
  end

  local function of_origin(o)
    local bytes = origins[o]
    if not bytes then
      local region, shard, counter, random = match(o, '^(%d+)%.(%d+)%.(%d+)%-(%x+)$')
      random = tonumber_(random, 16)
      bytes = char(region, shard) .. ordinal(tonumber_(counter)) .. char(floor(random / 65536), floor(random / 256) % 256, random % 256)
      origins[o] = bytes
    end
    return bytes
  end

  -- places makes the places of n elements that one effect puts somewhere. base is START, END, or a place and the side of
  -- it: '@' left, '\128' right. The newest of several effects on one right side comes first, on one left side last: next
  -- to where it was put.
  function E.places(base, o, at, nth, n)
    local high = floor(at / 4294967296)
    local stem = char(floor(high / 65536), floor(high / 256) % 256, high % 256) .. four(at % 4294967296) .. ordinal(nth) .. of_origin(o)
    local side, list = sub(base, -1), {}
    if side == START or side == '\128' then
      stem = base .. invert(stem)
      for i = 1, n do list[i] = stem .. invert(ordinal(i - 1)) end
    else
      stem = base .. stem
      for i = 1, n do list[i] = stem .. ordinal(i - 1) end
    end
    return list
  end

  -- newest_first says of a base whether later values come before earlier ones, as LPUSH does.
  function E.newest_first(base)
    local side = sub(base, -1)
    return side == START or side == '\128'
  end

  -- made answers the stamp of the effect that made a place, and which of its elements it is, from 1.
  function E.made(place)
    local p, last = 1, #place
    local o, at, nth, index = '', 0, 0, 0
    if byte(place, 1) == COLD then p = 6 end
    while p <= last do
      local side = byte(place, p)
      local flip = (side == 32 or side == 128) and 255 or 0
      p = p + 1
      local function one()
        local b = byte(place, p)
        p = p + 1
        return flip == 0 and b or 255 - b
      end
      local function number()
        local first = one()
        if first < 240 then return first end
        local n = 0
        for _ = 1, first == 240 and 2 or 4 do n = n * 256 + one() end
        return n
      end
      at = 0
      for _ = 1, 7 do at = at * 256 + one() end
      nth = number()
      local region, shard, counter = one(), one(), number()
      local random = one() * 65536 + one() * 256 + one()
      o = format('%d.%d.%d-%06x', region, shard, counter, random)
      index = number() + 1
    end
    return o, at, nth, index
  end

  -- cold is the entry for the elements that stood at positions first to last before Anabranch came: a place if it is one.
  function E.cold(first, last)
    if first == last then return '`' .. four(first) end
    return '`' .. four(first) .. four(last)
  end

  -- cold_range is the reverse.
  function E.cold_range(entry)
    local function number(p)
      local a, b, c, d = byte(entry, p, p + 3)
      return a * 16777216 + b * 65536 + c * 256 + d
    end
    local first = number(2)
    return first, #entry == RUN and number(6) or first
  end

  -- place_before is the order of elements. Where one place goes on after another ends, the other's element stands between
  -- its left and its right side.
  function E.place_before(a, b)
    local na, nb = #a, #b
    local n, i = na < nb and na or nb, 1
    while i + 7 <= n and sub(a, i, i + 7) == sub(b, i, i + 7) do i = i + 8 end
    while i <= n do
      local x, y = byte(a, i), byte(b, i)
      if x ~= y then return x < y end
      i = i + 1
    end
    if na < nb then return byte(b, i) > COLD end
    return na > nb and byte(a, i) < COLD
  end

  -- in_order sorts places as place_before does, in Redis, whose sorted sets compare bytes.
  function E.in_order(places)
    local members = {}
    for i = 1, #places do
      members[2 * i - 1], members[2 * i] = 0, places[i] .. '`'
    end
    E.in_parts(call, 'ZADD', SCRATCH, members)
    local list = call('ZRANGE', SCRATCH, 0, -1)
    call('DEL', SCRATCH)
    for i = 1, #list do list[i] = sub(list[i], 1, -2) end
    return list
  end
end
