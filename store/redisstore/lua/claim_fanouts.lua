#!lua flags=allow-oom
-- claim_fanouts gives fan-outs that nobody holds to a lease. First it ends leases that have lapsed.
--
-- KEYS  the records, the progress, the holders, the leases, those that nobody holds, those of the lease
-- ARGV  the lease, for how long it lasts (ms), how many to give, the key of those of a lease without its number, and
--       those that the lease is known to hold
-- Returns for each its number, its record and its progress. The first are those that a lost reply named.
local call = redis.call
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
call('ZADD', KEYS[4], now + ARGV[2], ARGV[1])
for _, lapsed in ipairs(call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, 10)) do
  local held = ARGV[4] .. lapsed
  for _, id in ipairs(call('SMEMBERS', held)) do
    call('HDEL', KEYS[3], id)
    call('ZADD', KEYS[5], id, id)
  end
  call('DEL', held)
  call('ZREM', KEYS[4], lapsed)
end
local known, given = {}, {}
for i = 5, #ARGV do known[ARGV[i]] = true end
local function give(id)
  given[#given + 1] = id
  given[#given + 1] = call('HGET', KEYS[1], id)
  given[#given + 1] = call('HGET', KEYS[2], id)
end
for _, id in ipairs(call('SMEMBERS', KEYS[6])) do
  if not known[id] then give(id) end
end
local free = call('ZPOPMIN', KEYS[5], ARGV[3])
for i = 1, #free, 2 do
  local id = free[i]
  if call('HEXISTS', KEYS[1], id) == 1 then
    call('HSET', KEYS[3], id, ARGV[1])
    call('SADD', KEYS[6], id)
    give(id)
  end
end
return given
