-- Undoes attach.
-- KEYS  the queue and its order
-- ARGV owner (node/lease), ms for which the queue counts as connected still
local o = redis.call('HGET', KEYS[1], 'o')
if not o then
  return 0
end
local left = {}
local found = false
for w in string.gmatch(o, '%S+') do
  if w == ARGV[1] then
    found = true
  else
    left[#left + 1] = w
  end
end
if not found then
  return 0
end
if #left > 0 then
  redis.call('HSET', KEYS[1], 'o', table.concat(left, ' '))
  return 1
end
redis.call('HDEL', KEYS[1], 'o')
if tonumber(ARGV[2]) > 0 then
  local t = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'b', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2]))
end
return 1
