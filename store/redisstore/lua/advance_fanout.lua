#!lua flags=allow-oom
-- advance_fanout keeps the progress of a fan-out, or forgets it when it is done.
--
-- KEYS  the records, the progress, the senders, the holders, the leases, the numbers of the projects, those of the lease
-- ARGV  the lease, for how long it lasts (ms), the number, the sender, the progress, which is empty when it is done
-- Returns 1, or 0 if the lease does not hold it.
local call = redis.call
if call('HGET', KEYS[4], ARGV[3]) ~= ARGV[1] then return 0 end
local t = call('TIME')
call('ZADD', KEYS[5], t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2], ARGV[1])
if ARGV[5] ~= '' then
  call('HSET', KEYS[2], ARGV[3], ARGV[5])
  return 1
end
call('HDEL', KEYS[1], ARGV[3])
call('HDEL', KEYS[2], ARGV[3])
call('HDEL', KEYS[3], ARGV[3])
call('HDEL', KEYS[4], ARGV[3])
call('SREM', KEYS[7], ARGV[3])
if call('HINCRBY', KEYS[6], ARGV[4], -1) <= 0 then call('HDEL', KEYS[6], ARGV[4]) end
return 1
