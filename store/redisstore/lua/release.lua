#!lua flags=allow-oom
-- Release gives back what a lease holds, each entry at its old place.
--
-- KEYS  the queue and its order
-- ARGV  the lease, and 1 if a claim of it may still arrive, which must then fail
-- Returns the queue's owners and how many entries were given back.
local q, w, me = KEYS[1], KEYS[2], ARGV[1]
local fields = redis.call('HMGET', q, 'o', me)
local slot, ids = tonumber(fields[2] or nil), {}
if slot then
  ids = redis.call('ZRANGEBYSCORE', w, '-' .. slot .. ${LAST_CALL}, '-' .. slot .. ${FIRST_CALL})
  for _, id in ipairs(ids) do redis.call('ZADD', w, id, id) end
end
if ARGV[2] == '1' and redis.call('EXISTS', q) == 1 then
  redis.call('HSET', q, me, 'x')
elseif fields[2] then
  redis.call('HDEL', q, me)
end
return {fields[1] or '', #ids}
