#!lua flags=allow-oom
-- Gives back what the leases of a node hold in a queue, and takes the queue from it.
--
-- KEYS  the queue and its order
-- ARGV  the node, and for how long the queue counts as connected (ms)
-- Returns 1 if something waits.
local q, w, prefix = KEYS[1], KEYS[2], ARGV[1] .. '/'
for _, field in ipairs(redis.call('HKEYS', q)) do
  if field:sub(1, #prefix) == prefix then
    local slot = tonumber(redis.call('HGET', q, field))
    if slot then
      local ids = redis.call('ZRANGEBYSCORE', w, '-' .. slot .. ${LAST_CALL}, '-' .. slot .. ${FIRST_CALL})
      for _, id in ipairs(ids) do redis.call('ZADD', w, id, id) end
    end
    redis.call('HDEL', q, field)
  end
end

local owners, left = redis.call('HGET', q, 'o') or '', {}
for owner in owners:gmatch('%S+') do
  if owner:sub(1, #prefix) ~= prefix then left[#left + 1] = owner end
end
left = table.concat(left, ' ')
if left ~= owners then
  if left == '' then redis.call('HDEL', q, 'o') else redis.call('HSET', q, 'o', left) end
  if tonumber(ARGV[2]) > 0 then
    local t = redis.call('TIME')
    redis.call('HSET', q, 'b', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2]))
  end
end
return #redis.call('ZRANGEBYSCORE', w, 0, '(${ASIDE}', 'LIMIT', 0, 1)
