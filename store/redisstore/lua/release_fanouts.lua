#!lua flags=allow-oom
-- release_fanouts gives back fan-outs that a lease holds, all of them if none are named, or only renews the lease.
--
-- KEYS  the holders, the leases, those that nobody holds, those of the lease
-- ARGV  the lease, for how long it lasts (ms): 0 ends it; the numbers
local call = redis.call
local ids = {}
if ARGV[2] == '0' then
  call('ZREM', KEYS[2], ARGV[1])
  ids = call('SMEMBERS', KEYS[4])
else
  local t = call('TIME')
  call('ZADD', KEYS[2], t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2], ARGV[1])
  for i = 3, #ARGV do ids[#ids + 1] = ARGV[i] end
end
for _, id in ipairs(ids) do
  if call('HGET', KEYS[1], id) == ARGV[1] then
    call('HDEL', KEYS[1], id)
    call('SREM', KEYS[4], id)
    call('ZADD', KEYS[3], id, id)
  end
end
return 1
