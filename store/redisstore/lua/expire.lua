#!lua flags=allow-oom
-- Expire looks at a part of a queue and forgets what has expired and what no lease holds.
--
-- KEYS  the queue and its order
-- ARGV  now (ms), the caller's clock (µs), where to begin in the order, how many entries to look at
-- Returns where to go on, -1 if nowhere, and the place and the record of each entry that was forgotten.
local q, w = KEYS[1], KEYS[2]
local now, clock, from, max = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local meta = redis.call('HMGET', q, 'h', 'o')
if not meta[1] then return {-1} end
local seq, total, good, soonest = struct.unpack(${QUEUE}, meta[1])

-- The last of the order is what keeps its key. Before it is what Put has set aside.
local tail = redis.call('ZRANGE', w, -2, -1, 'WITHSCORES')
if #tail < 4 then
  if clock - seq > ${KEYS_SLACK} * 1000 and (meta[2] or '') == '' then redis.call('DEL', q, w) end
  return {-1}
end
if now < soonest and tonumber(tail[2]) < ${ASIDE} then return {-1} end

local members = redis.call('ZRANGE', w, from, from + max - 1, 'WITHSCORES')
local ids = {}
for i = 1, #members, 2 do ids[#ids + 1] = members[i] end
if #ids == 0 then return {-1} end
local reply, gone, first = {0}, {}, math.huge
for i, record in ipairs(redis.call('HMGET', q, unpack(ids))) do
  local expires = record and struct.unpack('<i8', record, ${EXPIRES})
  if record and expires <= now and tonumber(members[2 * i]) >= 0 then
    gone[#gone + 1] = ids[i]
    reply[#reply + 1] = ids[i]
    reply[#reply + 1] = record
  elseif record then
    first = math.min(first, expires)
  end
end
if #gone > 0 then
  redis.call('HDEL', q, unpack(gone))
  redis.call('ZREM', w, unpack(gone))
end
reply[1] = from + #ids - #gone
if #ids < max then
  reply[1] = -1
  if from == 0 then redis.call('HSET', q, 'h', struct.pack(${QUEUE}, seq, total, good, first)) end
end
return reply
