-- Put stores entries, in order, and says what became of each (CCS 5.3, 5.5).
--
-- A queue's part: now (ms), the caller's clock (µs), how many entries and how many dedup strings there are, the keys
-- of the queue and of its order, the key for the marks of its entries, for how long (ms) that lasts and the marks, both
-- empty if there are none, the keys of the dedup strings; and for each entry when it expires (ms), the bound of its
-- queue, what else it asks for, and the place it gets if its queue has none as high. Its arguments: the records.
-- Returns for each entry the place it has got, behind a letter if it was not just stored: c collapsed,
-- d discarded, r refused, u duplicate. The last two have got none. The places of the entries that were removed for it
-- follow, each after a space. Then the queue's owners, if it has any.
local call, unpackStruct, pack, max = redis.call, struct.unpack, struct.pack, math.max
local ARGV = ARGV
local parts, replies = ARGV[1], nil

-- What is known of the queue whose part it is.
local q, w, now, clock
local seq, good, soonest         -- the last number given out; until when the keys last; no entry expires before
local total                      -- entries at most, whatever their state
local owners
local fields, order              -- of the queue and its order, still to be written
local apps                       -- what the queue knows of app instances, read when it is needed
local longest                    -- for how long anything new is to be kept
local dedups                     -- the keys of the dedup strings that are still to come

-- flush writes the order first: of a slot that is moving, one of the keys may have gone, and the other was seen.
local function flush()
  if order and #order > 0 then call('ZADD', w, unpack(order)) end
  if fields then
    fields[2] = pack(${QUEUE}, seq, total, good, soonest)
    call('HSET', q, unpack(fields))
  end
  fields, order = nil, nil
end

-- keep gives an entry its place: the one that was asked for, unless that would be lower than the last.
local function keep(place, record, expires)
  seq, total = max(seq + 1, clock), total + 1
  if seq ~= clock or place == 0 then place = string.format('%.0f', place - place % ${RANK} + seq) end
  if fields then
    fields[#fields + 1] = place
    fields[#fields + 1] = record
    order[#order + 1] = place
    order[#order + 1] = place
    if #fields > ${MOST_ARGUMENTS} then flush() end
  else
    fields, order = {'h', '', place, record}, {place, place}
  end
  if expires < soonest then soonest = expires end
  longest = max(longest, expires - now, 0)
  return place
end

-- judge decides what becomes of an entry that is more than a message within its bound. Most scripts run without:
-- what it needs is made when it is needed.
local judge
local function makeJudge()
  local function remove(ids)
    flush()
    for from = 1, #ids, ${MOST_ARGUMENTS} do
      local to = math.min(from + ${MOST_ARGUMENTS} - 1, #ids)
      call('ZREM', w, unpack(ids, from, to))
      call('HDEL', q, unpack(ids, from, to))
    end
    total = total - #ids
  end

  -- each calls fn with the id, the score and the record of every entry.
  local function each(fn)
    flush()
    local all = call('ZRANGE', w, 0, -1, 'WITHSCORES')
    for from = 1, #all, ${MOST_ARGUMENTS} do
      local ids = {}
      for i = from, math.min(from + ${MOST_ARGUMENTS} - 2, #all - 1), 2 do ids[#ids + 1] = all[i] end
      for i, record in ipairs(call('HMGET', q, unpack(ids))) do
        if record then fn(ids[i], tonumber(all[from + 2 * i - 1]), record) end
      end
    end
  end

  -- taken says whether any node has a session for the queue, or had one a moment ago.
  local function taken()
    if owners ~= '' then return true end
    local back = call('HGET', q, 'b')
    if not back then return false end
    local t = call('TIME')
    return tonumber(back) > t[1] * 1000 + t[2] / 1000
  end

  -- living counts the entries that have not expired. Those that have, and that no lease holds, are set aside,
  -- behind all others, so that they are seen but once.
  local function living()
    flush()
    local held = 0
    if now >= soonest then
      soonest = math.huge
      each(function(id, score, record)
        local expires = unpackStruct('<i8', record, ${EXPIRES})
        if expires > now then
          soonest = math.min(soonest, expires)
        elseif score < 0 then
          held, soonest = held + 1, math.min(soonest, expires)
        elseif score < ${ASIDE} then
          call('ZADD', w, string.format('%.0f', ${ASIDE} + score % ${RANK}), id)
        end
      end)
    end
    total = call('ZCOUNT', w, '-inf', '(${ASIDE}') - held
    return total
  end

  local function appOf(name)
    apps = apps or {}
    if not apps[name] then
      local a = call('HMGET', q, 'a' .. name, 'k' .. name)
      apps[name] = {away = tonumber(a[1] or 0), keys = a[2] and cmsgpack.unpack(a[2]) or {}}
    end
    apps[name].changed = true
    return apps[name]
  end

  local function lives(id)
    local record = call('HGET', q, id)
    return record and unpackStruct('<i8', record, ${EXPIRES}) > now
  end

  -- keyed says which entries one with a collapse key replaces or evicts, and which keys are left. A list of
  -- keys may name entries that have gone.
  local function keyed(keys, collapse, limit)
    flush()
    local left, gone = {}, {}
    for i = 1, #keys, 2 do
      if keys[i] ~= collapse then
        left[#left + 1] = keys[i]
        left[#left + 1] = keys[i + 1]
      elseif lives(keys[i + 1]) then
        gone[1] = keys[i + 1]
      end
    end
    if gone[1] then return ${COLLAPSED}, gone, left end
    if #left < 2 * (limit > 0 and limit or ${EVICT_FROM}) then return '', gone, left end
    local all = left
    left = {}
    for i = 1, #all, 2 do
      if lives(all[i + 1]) then
        left[#left + 1] = all[i]
        left[#left + 1] = all[i + 1]
      end
    end
    while limit > 0 and #left >= 2 * limit do
      table.remove(left, 1)
      gone[#gone + 1] = table.remove(left, 1)
    end
    return '', gone, left
  end

  -- overflow throws away what counts of an app instance, unless there is less than the bound said. It returns
  -- the marker that stands for it and the entry that comes, when that expires, and the places of what was thrown away.
  local function overflow(name, app, limit, expires)
    local free, markers, held, deleted, last = {}, {}, 0, 1, expires
    each(function(id, score, record)
      local away, ends, _, count, length = unpackStruct(${RECORD}, record)
      if ends <= now or record:sub(${HEADER} + 1, ${HEADER} + length) ~= name then return end
      if score < 0 then
        held = held + away
      elseif away == 1 then
        free[#free + 1], deleted, last = id, deleted + 1, max(last, ends)
      elseif count > 0 then
        markers[#markers + 1], deleted, last = id, deleted + count, max(last, ends)
      end
    end)
    app.away = #free + held
    if #free < limit then return end
    remove(free)
    remove(markers)
    app.away = held
    for i = 1, #markers do free[#free + 1] = markers[i] end
    return pack(${RECORD}, 0, last, now * 1000, deleted, #name, 0, 0) .. name, last, free
  end

  -- listed is how a reply names removed entries.
  local function listed(ids)
    if #ids == 0 then return '' end
    return ' ' .. table.concat(ids, ' ')
  end

  -- known reports whether the next dedup string is known, and remembers it otherwise (DEV 7.3). It returns its key.
  local function known(lasts)
    local dedup = table.remove(dedups, 1)
    local px, value = string.format('%.0f', lasts + ${DEDUP_SLACK}), string.format('%.0f', now + lasts)
    local until_ = call('SET', dedup, value, 'NX', 'GET', 'PX', px)
    if not until_ then return false, dedup end
    if now < tonumber(until_) then return true, dedup end
    call('SET', dedup, value, 'PX', px)
    return false, dedup
  end

  -- full reports whether a queue has no room for so many entries more.
  local function full(messages, grows)
    return messages > 0 and total + grows > messages and living() + grows > messages
  end

  -- away counts an entry for a device that is away (CCS 5.5). If that is one too many it returns the outcome: a marker
  -- has taken the place of all that count.
  local function away(name, messages, expires)
    local app = appOf(name)
    if messages > 0 and app.away >= messages then
      local marker, last, thrown = overflow(name, app, messages, expires)
      if marker then return ${DISCARDED} .. keep(0, marker, last) .. listed(thrown) end
    end
    app.away = app.away + 1
  end

  -- The rules in the order in which they are applied to an entry. Until remove is called, nothing has changed but the
  -- dedup string.
  return function(place, spec, record, expires, messages)
    local discard, deduped, keys, connected, lasts, name, collapse = 0, 0, 0, 0, 0, '', ''
    if spec ~= '' then
      discard, deduped, keys, connected, lasts, name, collapse = unpackStruct(${PUT_SPEC}, spec)
    end
    local duplicate, dedup = false, nil
    if deduped == 1 then duplicate, dedup = known(lasts) end
    if duplicate then return ${DUPLICATE} end

    if connected > 0 and taken() then
      messages = connected
      if discard == 1 then discard, record = 0, '\0' .. record:sub(2) end
    end

    local result, gone, left = '', {}, nil
    if collapse ~= '' then result, gone, left = keyed(appOf(name).keys, collapse, keys) end
    if discard == 0 and full(messages, 1 - #gone) then
      if dedup then call('DEL', dedup) end
      return ${REFUSED}
    end
    remove(gone)

    if discard == 1 and collapse == '' then
      local outcome = away(name, messages, expires)
      if outcome then return outcome end
    end
    place = keep(place, record, expires)
    if left then
      left[#left + 1] = collapse
      left[#left + 1] = place
      appOf(name).keys = left
    end
    return result .. place .. listed(gone)
  end
end

-- finish writes what is still to be written of a queue, and sees to it that its keys last.
local function finish(existed)
  if longest < 0 and not existed then return end -- nothing was kept, and nothing was there
  fields, order = fields or {'h', ''}, order or {}
  local ttl
  if clock + longest * 1000 > good then
    -- Longer than it has to be: then it lasts for what comes next, and whatever the clocks of the nodes.
    ttl = max(longest * ${KEYS_LONGER_BY} + ${KEYS_LONGER_FOR}, call('PTTL', q))
    good = clock + (ttl - ${KEYS_SLACK}) * 1000
    order[#order + 1] = '+inf' -- what keeps the order's key, and its expiry, when the queue is empty
    order[#order + 1] = '-'
  end
  if apps then
    for name, app in pairs(apps) do
      fields[#fields + 1] = 'a' .. name
      fields[#fields + 1] = app.away
      fields[#fields + 1] = 'k' .. name
      fields[#fields + 1] = cmsgpack.pack(app.keys)
    end
  end
  flush()
  if ttl then
    ttl = string.format('%.0f', ttl)
    call('PEXPIRE', q, ttl)
    call('PEXPIRE', w, ttl)
  end
end

-- remember keeps the marks of the entries that were kept, and of no others: a message that was not kept and is taken
-- for a repeat would be lost.
local remembered, lasts = {}, {}
local function remember(key, marks, outcomes)
  lasts[key] = unpackStruct(${MARKS}, marks)
  local list, all = remembered[key] or {}, true
  local function kept(i)
    local letter = outcomes[i]:byte()
    return letter ~= ${REFUSED_BYTE} and letter ~= ${DUPLICATE_BYTE}
  end
  for i = 1, #outcomes do
    if not kept(i) then all = false break end
  end
  if all then
    list[#list + 1] = marks:sub(${MARKS_HEADER} + 1)
  else
    for i = 1, #outcomes do
      local before = ${MARKS_HEADER} + ${MARK_BYTES} * (i - 1)
      if kept(i) then list[#list + 1] = marks:sub(before + 1, before + ${MARK_BYTES}) end
    end
  end
  remembered[key] = list
end

ended = function()
  for key, list in pairs(remembered) do
    call('APPEND', key, table.concat(list))
    call('PEXPIRE', key, string.format('%.0f', lasts[key]))
  end
end

-- part puts a queue's part.
local function part(from, arg)
  local entries, strings, key, marks
  now, clock, entries, strings, q, w, key, marks, from = unpackStruct(${PUT_PART}, parts, from)
  local meta = call('HMGET', q, 'h', 'o')
  seq, total, good, soonest = 0, 0, 0, math.huge
  if meta[1] then seq, total, good, soonest = unpackStruct(${QUEUE}, meta[1]) end
  owners = meta[2] or ''
  fields, order, apps, longest = nil, nil, nil, -1

  if strings > 0 then
    dedups = {}
    for i = 1, strings do dedups[i], from = unpackStruct(${TEXT}, parts, from) end
    -- Should the slot be moving, this fails unless all keys are still here: then nothing has happened yet.
    call('EXISTS', q, w, unpack(dedups))
  end

  local outcomes
  for _ = 1, entries do
    local record, expires, messages, spec, place, outcome = ARGV[arg]
    expires, messages, spec, place, from = unpackStruct(${PUT_ENTRY}, parts, from)
    if spec == '' and (messages == 0 or total < messages) then
      outcome = keep(place, record, expires)
    else
      judge = judge or makeJudge()
      outcome = judge(place, spec, record, expires, messages)
    end
    if outcomes then outcomes[#outcomes + 1] = outcome else outcomes = {outcome} end
    clock, arg = clock + 1, arg + 1
  end
  finish(meta[1])

  if marks ~= '' then remember(key, marks, outcomes) end
  if owners ~= '' then outcomes[#outcomes + 1] = owners end
  replies[#replies + 1] = #outcomes
  for i = 1, #outcomes do replies[#replies + 1] = outcomes[i] end
end
