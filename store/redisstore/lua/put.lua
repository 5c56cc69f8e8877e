-- Put stores entries of one queue, in order, and says what became of each (CCS 5.3, 5.5).
--
-- KEYS  the queue, its order, and the key of the dedup string of each entry that has one
-- ARGV  now (ms), the caller's clock (µs), and for each entry what it asks for and its record
-- Returns the queue's owners, and for each entry a digit, its store.Result, and the place it has got.
local q, w = KEYS[1], KEYS[2]
local now, clock = tonumber(ARGV[1]), tonumber(ARGV[2])
local meta = redis.call('HMGET', q, 'h', 'o', 'b')
local seq, total, good, soonest = 0, 0, 0, math.huge
if meta[1] then seq, total, good, soonest = struct.unpack('<dddd', meta[1]) end

local fields, order = {}, {} -- of the queue and its order, still to be written
local apps = {}              -- what the queue knows of app instances, read when it is needed
local longest = -1           -- for how long anything new is to be kept
local reply = {meta[2] or ''}

local function flush()
  if #fields > 0 then redis.call('HSET', q, unpack(fields)) end
  if #order > 0 then redis.call('ZADD', w, unpack(order)) end
  fields, order = {}, {}
end

-- The rest of the functions are made only where they are needed: most entries reach no limit.
local slow
local function open()
  local s = {}

  -- each calls fn with the id, the score and the record of every entry.
  local function each(fn)
    flush()
    local all = redis.call('ZRANGE', w, 0, -1, 'WITHSCORES')
    for from = 1, #all, 1000 do
      local ids = {}
      for i = from, math.min(from + 998, #all - 1), 2 do ids[#ids + 1] = all[i] end
      local records = redis.call('HMGET', q, unpack(ids))
      for i, id in ipairs(ids) do
        if records[i] then fn(id, tonumber(all[from + 2 * i - 1]), records[i]) end
      end
    end
  end

  function s.remove(ids)
    flush()
    for from = 1, #ids, 1000 do
      local to = math.min(from + 999, #ids)
      redis.call('HDEL', q, unpack(ids, from, to))
      redis.call('ZREM', w, unpack(ids, from, to))
    end
    total = total - #ids
  end

  -- taken says whether any node has a session for the queue, or had one a moment ago.
  function s.taken()
    if meta[2] and meta[2] ~= '' then return true end
    if not meta[3] then return false end
    local t = redis.call('TIME')
    return tonumber(meta[3]) > t[1] * 1000 + t[2] / 1000
  end

  -- count counts the living entries. Those that have expired and that no lease holds are set aside, behind
  -- all others, so that they are counted once.
  function s.count()
    local held = 0
    if now >= soonest then
      soonest = math.huge
      each(function(id, score, record)
        local expires = struct.unpack('<i8', record, 2)
        if expires > now then
          soonest = math.min(soonest, expires)
        elseif score < 0 then
          held, soonest = held + 1, math.min(soonest, expires)
        elseif score < 6755399441055744 then
          order[#order + 1] = string.format('%.0f', 6755399441055744 + score % 2251799813685248)
          order[#order + 1] = id
          if #order > 1000 then flush() end
        end
      end)
    end
    flush()
    total = redis.call('ZCOUNT', w, '-inf', '(6755399441055744') - held
    return total
  end

  function s.app(name)
    if not apps[name] then
      local a = redis.call('HMGET', q, 'a' .. name, 'k' .. name)
      apps[name] = {away = tonumber(a[1] or 0), keys = a[2] and cmsgpack.unpack(a[2]) or {}}
    end
    return apps[name]
  end

  local function living(id)
    local record = redis.call('HGET', q, id)
    return record and struct.unpack('<i8', record, 2) > now
  end

  -- keyed says which entries one with a collapse key replaces or evicts, and which keys are left. A list of
  -- keys may name entries that have gone.
  function s.keyed(keys, collapse, limit)
    flush()
    local left, gone = {}, {}
    for i = 1, #keys, 2 do
      if keys[i] ~= collapse then
        left[#left + 1], left[#left + 2] = keys[i], keys[i + 1]
      elseif living(keys[i + 1]) then
        gone[1] = keys[i + 1]
      end
    end
    if gone[1] then return '1', gone, left end
    if #left < 2 * (limit > 0 and limit or 64) then return '0', gone, left end
    local all = left
    left = {}
    for i = 1, #all, 2 do
      if living(all[i + 1]) then left[#left + 1], left[#left + 2] = all[i], all[i + 1] end
    end
    while limit > 0 and #left >= 2 * limit do
      table.remove(left, 1)
      gone[#gone + 1] = table.remove(left, 1)
    end
    return '0', gone, left
  end

  -- overflow throws away what counts of an app instance, unless there is less than the bound said, and
  -- returns the record of the marker for it.
  function s.overflow(name, a, limit, expires)
    local free, markers, held, deleted, last = {}, {}, 0, 1, expires
    each(function(id, score, record)
      local flags, ends, _, count, length = struct.unpack('<Bi8i8I4I4', record)
      if ends <= now or record:sub(34, 33 + length) ~= name then return end
      if score < 0 then
        held = held + flags
      elseif flags == 1 then
        free[#free + 1], deleted, last = id, deleted + 1, math.max(last, ends)
      elseif count > 0 then
        markers[#markers + 1], deleted, last = id, deleted + count, math.max(last, ends)
      end
    end)
    a.away = #free + held
    if #free < limit then return nil end

    s.remove(free)
    s.remove(markers)
    a.away = held
    return struct.pack('<Bi8i8I4I4I4I4', 0, last, now * 1000, deleted, #name, 0, 0) .. name, last
  end

  return s
end

-- put decides what becomes of an entry.
local function put(dedup, spec, record)
  local rank, discard, _, messages, keys, connected, expires, remember, name, collapse =
    struct.unpack('<BBBI4I4I4i8i8I4c0I4c0', spec)
  if dedup then
    local px = string.format('%.0f', remember + 60000)
    local value = string.format('%.0f', now + remember)
    local known = redis.call('SET', dedup, value, 'NX', 'GET', 'PX', px)
    if known then
      if now < tonumber(known) then return '4' end
      redis.call('SET', dedup, value, 'PX', px)
    end
  end
  local result, app = '0', nil
  if connected > 0 or discard == 1 or collapse ~= '' or messages > 0 and total >= messages then
    slow = slow or open()
    if connected > 0 and slow.taken() then
      messages = connected
      if discard == 1 then discard, record = 0, '\0' .. record:sub(2) end
    end
    local gone, left = {}, nil
    if collapse ~= '' then
      app = slow.app(name)
      result, gone, left = slow.keyed(app.keys, collapse, keys)
    end
    local grows = 1 - #gone
    if messages > 0 and discard == 0 and total + grows > messages and slow.count() + grows > messages then
      if dedup then redis.call('DEL', dedup) end
      return '3'
    end
    slow.remove(gone)
    if left then app.keys = left end
    if discard == 1 and collapse == '' then
      app = slow.app(name)
      local marker, last
      if messages > 0 and app.away >= messages then marker, last = slow.overflow(name, app, messages, expires) end
      if marker then
        rank, record, expires, result = 0, marker, last, '2'
      else
        app.away = app.away + 1
      end
    end
    if app then app.changed = true end
  end
  seq, total = math.max(seq + 1, clock), total + 1
  local id = string.format('%.0f', rank * 2251799813685248 + seq)
  if collapse ~= '' then
    app.keys[#app.keys + 1] = collapse
    app.keys[#app.keys + 1] = id
  end
  fields[#fields + 1] = id
  fields[#fields + 1] = record
  order[#order + 1] = id
  order[#order + 1] = id
  if #fields > 1000 then flush() end
  if expires < soonest then soonest = expires end
  longest = math.max(longest, expires - now, 0)
  return result .. id
end

local dedups = 2
for i = 3, #ARGV, 2 do
  local dedup
  if ARGV[i]:byte(3) == 1 then
    dedups = dedups + 1
    dedup = KEYS[dedups]
  end
  reply[#reply + 1] = put(dedup, ARGV[i], ARGV[i + 1])
end

if longest < 0 and not meta[1] then return reply end -- nothing was kept, and nothing was there
local ttl
if clock + longest * 1000 > good then
  -- Longer than it has to be: then it lasts for what comes next, and whatever the clocks of the nodes.
  ttl = math.max(longest * 1.125 + 7200000, redis.call('PTTL', q))
  good = clock + (ttl - 3600000) * 1000
  order[#order + 1] = '+inf' -- what keeps the order's key, and its expiry, when the queue is empty
  order[#order + 1] = '-'
end
for name, app in pairs(apps) do
  if app.changed then
    fields[#fields + 1] = 'a' .. name
    fields[#fields + 1] = app.away
    fields[#fields + 1] = 'k' .. name
    fields[#fields + 1] = cmsgpack.pack(app.keys)
  end
end
fields[#fields + 1] = 'h'
fields[#fields + 1] = struct.pack('<dddd', seq, total, good, soonest)
flush()
if ttl then
  ttl = string.format('%.0f', ttl)
  redis.call('PEXPIRE', q, ttl)
  redis.call('PEXPIRE', w, ttl)
end
return reply
