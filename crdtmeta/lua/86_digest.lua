-- Digests: what this region shows of its keys, in a form that can be compared with other regions. Nothing is written.
--
-- What must be equal everywhere counts: type, value, the deadline in force, and which consumer groups a stream has. What is a
-- region's own does not: consumers and pending entries, a stream's last id, how registers are laid out (docs/engine.md, 10).
-- Of values with elements each element is hashed alone and the hashes are added up, so that they can be read in any order and
-- in parts.

do
  local H = E.handlers
  local CHUNK = 16384           -- bytes of a string that are hashed at once
  local ELEMENTS = 500          -- a value with more elements is read in parts
  local STEP = 250              -- elements of a part
  local BYTES = 262144          -- so is one that takes more
  local WORK = 3000             -- units of work of a call, of a microsecond or two; keys behind it are left out
  local MOST = 1000             -- keys in a call
  local MODULUS = 281474976710656 -- 2^48

  local hash                    -- SHA1 in hex
  local low, high, count        -- the sum: twice 48 bits of the hashes, and how many there are
  local work                    -- that this call has done

  local function note(text)
    local h = hash(text)
    low = (low + tonumber_(sub(h, 1, 12), 16)) % MODULUS
    high = (high + tonumber_(sub(h, 13, 24), 16)) % MODULUS
    work = work + 1 + #text / 1024
  end

  local function add(text)
    note(text)
    count = count + 1
  end

  local function sums()
    return format('%.0f:%.0f:%.0f', count, low, high)
  end

  -- pair names two strings without doubt where the first one ends.
  local function pair(a, b)
    return #a .. ':' .. a .. b
  end

  -- dense_registers yields the 16,384 registers of six bits each, the lowest bits first, four in three bytes.
  local function dense_registers(v, take)
    for at = 17, 17 + 12287, 3 do
      local a, b, c = byte(v, at, at + 2)
      take(a % 64, 1)
      take(floor(a / 64) + b % 16 * 4, 1)
      take(floor(b / 16) + c % 4 * 16, 1)
      take(floor(c / 4), 1)
    end
  end

  -- sparse_registers yields them as runs. It answers false for what is no such list.
  local function sparse_registers(v, take)
    local at, total = 17, 0
    while at <= #v do
      local op = byte(v, at)
      local value, length = 0, op + 1
      if op >= 128 then
        value, length = floor(op / 4) % 32 + 1, op % 4 + 1
      elseif op >= 64 then
        at = at + 1
        local more = byte(v, at)
        if not more then return false end
        length = (op - 64) * 256 + more + 1
      end
      take(value, length)
      total, at = total + length, at + 1
    end
    return total == 16384
  end

  -- registers gives a HyperLogLog as runs of equal registers, which does not depend on its layout; nil for another string.
  local function registers(v)
    if sub(v, 1, 4) ~= 'HYLL' or #v < 16 then return nil end
    local runs, n, last, length = {}, 0, -1, 0
    local function take(value, times)
      if value ~= last then
        runs[n + 1], runs[n + 2] = last, length
        n, last, length = n + 2, value, 0
      end
      length = length + times
    end
    local encoding = byte(v, 5)
    if encoding == 0 and #v == 16 + 12288 then
      dense_registers(v, take)
      work = work + 1500
    elseif encoding ~= 1 or not sparse_registers(v, take) then
      return nil
    end
    work = work + 1 + n / 2
    return 'registers ' .. concat(runs, ' ') .. ' ' .. last .. ' ' .. length
  end

  -- READ has for each type what adds up to room elements from a cursor on. It answers where to go on, "0" at the end. A first
  -- cursor is "0".
  local READ = {}

  function READ.k(k, cursor, room)
    local at = tonumber_(cursor)
    for _ = 1, room do
      local piece = call('GETRANGE', k, format('%.0f', at), format('%.0f', at + CHUNK - 1))
      if piece == '' and at > 0 then return '0' end
      add(at == 0 and registers(piece) or format('%.0f:', at) .. piece)
      at = at + CHUNK
      if #piece < CHUNK then return '0' end
    end
    return format('%.0f', at)
  end

  function READ.s(k, cursor, room)
    local page = call('SSCAN', k, cursor, 'COUNT', room)
    for _, member in pairs_(page[2]) do add(member) end
    return page[1]
  end

  function READ.h(k, cursor, room)
    local page = call('HSCAN', k, cursor, 'COUNT', room)
    local all = page[2]
    for i = 1, #all, 2 do add(pair(all[i], all[i + 1])) end
    return page[1]
  end

  -- Servers print scores in different ways, but the same double.
  function READ.z(k, cursor, room)
    local page = call('ZSCAN', k, cursor, 'COUNT', room)
    local all = page[2]
    for i = 1, #all, 2 do add(format('%.17g:', tonumber_(all[i + 1])) .. all[i]) end
    return page[1]
  end

  function READ.l(k, cursor, room)
    local from = tonumber_(cursor)
    local all = call('LRANGE', k, from, from + room - 1)
    for i = 1, #all do add(from + i .. ':' .. all[i]) end
    if #all < room then return '0' end
    return format('%.0f', from + room)
  end

  function READ.x(k, cursor, room)
    if cursor == '0' then
      for _, group in pairs_(E.groups_of(k)) do note('group ' .. group.name) end
    end
    local all = call('XRANGE', k, cursor == '0' and '-' or '(' .. cursor, '+', 'COUNT', room)
    for i = 1, #all do
      local parts = {all[i][1]}
      for j, text in pairs_(all[i][2]) do parts[j + 1] = #text .. ':' .. text end
      add(concat(parts, ' '))
    end
    return #all == room and all[room][1] or '0'
  end

  -- A type of a module.
  function READ.o(k)
    add(call('DUMP', k))
    return '0'
  end

  local SIZE = {s = 'SCARD', h = 'HLEN', z = 'ZCARD', l = 'LLEN', x = 'XLEN'}

  -- extent says how many elements a value has, whether it must be read in parts, and how many elements one part should have.
  local function extent(k, letter)
    if letter == 'k' then
      local length = call('STRLEN', k)
      return length == 0 and 1 or floor((length + CHUNK - 1) / CHUNK), length > CHUNK, 16
    end
    if letter == 'o' then return 1, false, 1 end
    local size, bytes = call(SIZE[letter], k), call('MEMORY', 'USAGE', k) or 0
    local room = floor(BYTES / 2 * size / (bytes + 1))
    room = room < 1 and 1 or room > STEP and STEP or room
    return size, size > ELEMENTS or (bytes > BYTES and size > 1), room
  end

  -- read_whole adds up a value that needs no parts.
  local function read_whole(k, letter)
    local cursor = '0'
    repeat cursor = READ[letter](k, cursor, ELEMENTS) until cursor == '0'
  end

  -- record_of decodes what a companion says of its key. raw is its value, false when it is missing or a hash. It answers the
  -- record, its bytes and the companion's form; nil when there is none. The record of a plain SET is not decoded: the second
  -- answer is all there is.
  local function record_of(ck, raw)
    if raw then
      if byte(raw, 1) == 1 then return nil, raw, 's' end
      return E.decode(raw), raw, 's'
    end
    raw = call('HGET', ck, '')
    if raw then return E.decode(raw), raw, 'h' end
  end

  -- deadlines says until when a key is there, 0 for ever: in the metadata, and in Redis where that differs, else nil. native is
  -- its PEXPIRETIME.
  local function deadlines(native, rec, form)
    local is = native > 0 and native or 0
    if not form then return is end
    local said = rec and E.deadline(rec) or 0
    if native == -2 or said == is then return said end
    return said, is
  end

  -- head is what is equal of a key besides its value.
  local function head(letter, said, is)
    if said == 0 and not is then return letter .. '0:' end
    return letter .. format('%.0f', said) .. (is and format(' Redis %.0f', is) or '') .. ':'
  end

  local function read_companions(argv, i, n)
    local names = {}
    for j = i + 2, i + n - 1 do names[j - i - 1] = E.companion(argv[j]) end
    return names, call('MGET', unpack_(names))
  end

  -- plain_text is the value of a string that a plain SET wrote and whose TTL is as it should be, unless there is more to it. Most
  -- strings are like that, and one question is enough.
  local function plain_text(k, raw, native)
    if native ~= -1 or not raw or byte(raw, 1) ~= 1 then return nil end
    local v = try('GETRANGE', k, 0, CHUNK)
    return type_(v) == 'string' and #v <= CHUNK and sub(v, 1, 4) ~= 'HYLL' and v or nil
  end

  -- page answers one hash of all keys that it got to, how many these are, and which of them (from 1) are not in the hash because
  -- they are large.
  local function page(argv, i, n)
    local names, raws = read_companions(argv, i, n)
    local parts, left = {}, {}
    for j = 1, n - 2 do
      if work > WORK then break end
      local k = argv[i + 1 + j]
      local native = call('PEXPIRETIME', k)
      local part = '-'
      work = work + 2
      local plain = plain_text(k, raws[j], native)
      if plain then
        part = 'k0:' .. pair(plain, '')
        work = work + #plain / 1024
      elseif native ~= -2 then
        local rec, _, form = record_of(names[j], raws[j])
        local said, is = deadlines(native, rec, form)
        if not (form and said > 0 and said <= now) then
          local letter = E.native_type(k) or 'o'
          local v = letter == 'k' and call('GETRANGE', k, 0, CHUNK)
          part = head(letter, said, is)
          if v then
            if #v > CHUNK then
              left[#left + 1] = j
            else
              v = registers(v) or v
              part = part .. pair(v, '')
              work = work + #v / 1024
            end
          else
            local _, large = extent(k, letter)
            if large then
              left[#left + 1] = j
            else
              low, high, count = 0, 0, 0
              read_whole(k, letter)
              part = part .. sums()
            end
          end
        end
      end
      parts[j] = part
    end
    return {hash(concat(parts, ';')), tostring_(#parts), concat(left, ' ')}
  end

  -- stamps_of lists the newest stamps known of a key, in the order of origins.
  local function stamps_of(rec, raw, ck, form, origins)
    local newest, list = {}, {}
    local function see(o, at)
      if o ~= '' and at > (newest[o] or 0) then newest[o] = at end
    end
    if not rec then rec = E.decode(raw) end
    for _, w in pairs_(rec.w) do see(w[1], w[2]) end
    for _, c in pairs_(rec.T or {}) do see(c[1], c[2]) end
    for o, s in pairs_(rec.s or {}) do see(o, s[3]) end
    for o, x in pairs_(rec.d or {}) do see(o, x[1]) end
    if rec.x then see(rec.x[1], rec.x[2]) end
    if form == 'h' then
      local fields = {}
      for j = 1, #origins do fields[j] = 'n' .. origins[j] end
      local found = call('HMGET', ck, unpack_(fields))
      for j = 1, #origins do
        if found[j] then see(origins[j], tonumber_(found[j])) end
      end
    end
    for o, at in pairs_(newest) do list[#list + 1] = format('%s=%.0f', o, at) end
    sort(list, function(a, b) return a < b end)
    return concat(list, ',')
  end

  -- lives says of a key without data whether its metadata says that there is some. Of many cells it looks at the first.
  local function lives(rec, ck, form, S)
    if not rec or rec.b or E.live(rec) then return true end
    if form ~= 'h' then return false end
    if call('EXISTS', E.places_key(S)) == 1 then return true end
    local found = call('HSCAN', ck, '0', 'COUNT', ELEMENTS)[2]
    for j = 1, #found, 2 do
      local b = byte(found[j], 1)
      if b and b ~= 110 and E.live(E.decode(found[j + 1])) then return true end
    end
    return false
  end

  -- stranger says of a key with data that it does not fit the record: a string where there is none by that, or another type in
  -- the place of a string. Elements that every region knows have no cells, so of them nothing can be said.
  local function stranger(rec, letter, form)
    if not rec then return letter ~= 'k' end -- a plain SET
    if rec.y or rec.p or rec.b then return false end
    return E.live(rec) ~= (letter == 'k') and (E.live(rec) or form == 's')
  end

  -- one answers for one key what it shows and what is known about it: state, head, sums, a token that changes with every effect
  -- on the key, the newest stamps, the deadline, the type, and a remark.
  local function one(k, ck, raw, origins)
    local native = call('PEXPIRETIME', k)
    local rec, form, stamps
    rec, raw, form = record_of(ck, raw)
    stamps = form and stamps_of(rec, raw, ck, form, origins) or '-'
    local said, is = deadlines(native, rec, form)
    local passed = form and said > 0 and said <= now
    local token = hash(concat({raw or '', stamps, format('%.0f', native)}, ';'))
    if native == -2 or passed then
      local S = {k = k, ck = ck, form = form, rec = rec}
      local remark = form and (passed and 'expired' or lives(rec, ck, form, S) and 'evicted') or ''
      return {'absent', '-', '', token, stamps, format('%.0f', said), '', remark}
    end
    local letter = E.native_type(k) or 'o'
    local remark = form and (stranger(rec, letter, form) and 'stranger' or is and 'deadline') or ''
    local size, large = extent(k, letter)
    token = token .. ':' .. format('%.0f', size)
    low, high, count = 0, 0, 0
    if not large then read_whole(k, letter) end
    return {large and 'large' or 'whole', head(letter, said, is), large and format('%.0f', size) or sums(), token, stamps,
      format('%.0f', is or said), call('TYPE', k).ok, remark}
  end

  -- frontier_now lists origins and what is applied of each, and the origins alone.
  local function frontier_now()
    local here = db
    E.select(0)
    local all = call('HGETALL', FRONTIER)
    E.select(here)
    local origins = {origin}
    for j = 1, #all, 2 do
      if all[j] ~= origin then origins[#origins + 1] = all[j] end
    end
    all[#all + 1] = origin
    all[#all + 1] = format('%.0f', op > 0 and t or last_t)
    return all, origins
  end

  local function keys(argv, i, n)
    local frontier, origins = frontier_now()
    local names, raws = read_companions(argv, i, n)
    local replies = {format('%.0f', now), frontier}
    for j = 1, n - 2 do
      if work > WORK then break end
      work = work + 5
      replies[j + 2] = one(argv[i + 1 + j], names[j], raws[j], origins)
    end
    return replies
  end

  -- part answers where to go on with a large value, and the sum of this part.
  local function part(k, cursor)
    local letter = E.native_type(k)
    if not letter then return {'0', '0:0:0'} end
    local _, _, room = extent(k, letter)
    low, high, count = 0, 0, 0
    return {READ[letter](k, cursor, room), sums()}
  end

  -- XCRDT.DIGEST PAGE key…, KEYS key…, or cursor key for the next part of a large value, from "0" until it answers "0".
  H['XCRDT.DIGEST'] = function(argv, i, n)
    hash, work = redis.sha1hex, 0
    if n > MOST + 2 then return {err = 'ERR more than ' .. MOST .. ' keys at once'} end
    local how = upper(argv[i + 1])
    if how == 'PAGE' then return page(argv, i, n) end
    if how == 'KEYS' then return keys(argv, i, n) end
    if n == 3 and find(how, '^[%d-]+$') then return part(argv[i + 2], how) end
    return {err = 'ERR syntax error'}
  end
end
