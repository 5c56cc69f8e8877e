-- Claim hands the first living entries that wait to a lease.
--
-- KEYS  the queue and its order
-- ARGV  now (ms), the lease, the number of the call, how many at most, 1 if another owner forbids it, 2 if only
--       an owner may claim, and 1 if the call was perhaps carried out before
-- Returns the place and the record of each entry.
local q, w = KEYS[1], KEYS[2]
local now, me, call, left = tonumber(ARGV[1]), '@' .. ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

if ARGV[6] then -- what the lost reply named is given back
  local slot = tonumber(redis.call('HGET', q, me) or nil)
  local score = slot and string.format('%.0f', -(slot * 1048576 + call))
  for _, id in ipairs(slot and redis.call('ZRANGEBYSCORE', w, score, score) or {}) do
    redis.call('ZADD', w, id, id)
  end
end

local reply, marks, slot = {}, {}, nil
local from = '0'
repeat
  local asked = left
  local ids = redis.call('ZRANGEBYSCORE', w, from, '(6755399441055744', 'LIMIT', 0, asked)
  if #ids == 0 then break end
  local fields = redis.call('HMGET', q, 'o', me, unpack(ids))
  local owners = ' ' .. (fields[1] or '') .. ' '
  local owned = owners:find(' ' .. ARGV[2] .. ' ', 1, true)
  if not owned and (ARGV[5] == '2' or ARGV[5] == '1' and #owners > 2) or fields[2] == 'x' then
    return redis.error_reply('TAKENOVER the queue is another session\'s now')
  end
  slot = fields[2]
  for i, id in ipairs(ids) do
    local record = fields[i + 2]
    if record and struct.unpack('<i8', record, 2) > now then
      reply[#reply + 1] = id
      reply[#reply + 1] = record
      marks[#marks + 1] = 0
      marks[#marks + 1] = id
      left = left - 1
    end
  end
  from = '(' .. ids[#ids]
until #ids < asked or left == 0

if #marks == 0 then return reply end
if not slot then
  slot = redis.call('HINCRBY', q, 'l', 1)
  redis.call('HSET', q, me, slot)
end
local score = string.format('%.0f', -(slot * 1048576 + call))
for i = 1, #marks, 2 do marks[i] = score end
redis.call('ZADD', w, unpack(marks))
return reply
