#!lua flags=allow-oom
-- Undoes attach and gives back what the lease holds, each entry at its old place, at once: who has waited for the
-- queue then sees all of it.
-- KEYS  the queue and its order
-- ARGV owner (node/lease), ms for which the queue counts as connected still
-- Returns the owners that are left and how many entries were given back.
local q, w, me = KEYS[1], KEYS[2], ARGV[1]
local fields = redis.call('HMGET', q, 'o', me)
local slot, ids = tonumber(fields[2] or nil), {}
if slot then
  ids = redis.call('ZRANGEBYSCORE', w, '-' .. slot .. ${LAST_CALL}, '-' .. slot .. ${FIRST_CALL})
  for _, id in ipairs(ids) do redis.call('ZADD', w, id, id) end
end

local left, found = {}, false
for owner in string.gmatch(fields[1] or '', '%S+') do
  if owner == me then found = true else left[#left + 1] = owner end
end
left = table.concat(left, ' ')
if not found then return {left, #ids} end
if left ~= '' then
  redis.call('HSET', q, 'o', left)
  return {left, #ids}
end
redis.call('HDEL', q, 'o')
if tonumber(ARGV[2]) > 0 then
  local t = redis.call('TIME')
  redis.call('HSET', q, 'b', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2]))
end
return {'', #ids}
