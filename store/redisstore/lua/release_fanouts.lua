#!lua flags=allow-oom
-- release_fanouts gives back fan-outs that a lease holds, all of them if the lease ends, or only renews it.
--
-- KEYS  the senders, the holders, the leases, the projects whose turn it will be, those of the lease
-- ARGV  the lease, for how long it lasts (ms): 0 ends it; the key of a project's free ones without its name; the numbers
local call = redis.call
local ids = {}
if ARGV[2] == '0' then
  call('ZREM', KEYS[3], ARGV[1])
  ids = call('SMEMBERS', KEYS[5])
else
  local t = call('TIME')
  call('ZADD', KEYS[3], t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2], ARGV[1])
  for i = 4, #ARGV do ids[#ids + 1] = ARGV[i] end
end
for _, id in ipairs(ids) do
  if call('HGET', KEYS[2], id) == ARGV[1] then
    call('HDEL', KEYS[2], id)
    call('SREM', KEYS[5], id)
    local sender = call('HGET', KEYS[1], id)
    if call('EXISTS', ARGV[3] .. sender) == 0 then call('RPUSH', KEYS[4], sender) end
    call('ZADD', ARGV[3] .. sender, id, id)
  end
end
return 1
