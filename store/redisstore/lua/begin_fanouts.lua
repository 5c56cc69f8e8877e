-- begin_fanouts keeps fan-outs, held by a lease.
--
-- KEYS  the records, the progress, the holders, the leases, the numbers of the projects, those of the lease
-- ARGV  the lease, for how long it lasts (ms), how many a project may have; for each fan-out its number, its sender,
--       its record, its progress
-- Returns for each 1, 0 if the project has too many, -1 if the number is taken.
local t = redis.call('TIME')
redis.call('ZADD', KEYS[4], t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2], ARGV[1])
local kept = {}
for i = 4, #ARGV, 4 do
  local id, sender = ARGV[i], ARGV[i + 1]
  if redis.call('HEXISTS', KEYS[1], id) == 1 then
    -- The reply to an earlier run was lost.
    kept[#kept + 1] = redis.call('HGET', KEYS[3], id) == ARGV[1] and redis.call('HGET', KEYS[1], id) == ARGV[i + 2] and 1 or -1
  elseif tonumber(redis.call('HGET', KEYS[5], sender) or 0) >= tonumber(ARGV[3]) then
    kept[#kept + 1] = 0
  else
    redis.call('HSET', KEYS[1], id, ARGV[i + 2])
    redis.call('HSET', KEYS[2], id, ARGV[i + 3])
    redis.call('HSET', KEYS[3], id, ARGV[1])
    redis.call('HINCRBY', KEYS[5], sender, 1)
    redis.call('SADD', KEYS[6], id)
    kept[#kept + 1] = 1
  end
end
return kept
