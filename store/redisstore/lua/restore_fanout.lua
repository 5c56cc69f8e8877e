-- restore_fanout keeps a fan-out that nobody holds, unless it exists.
--
-- KEYS  the records, the progress, the numbers of the projects, those that nobody holds
-- ARGV  the number, the sender, the record, the progress
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[3]) == 1 then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
  redis.call('HINCRBY', KEYS[3], ARGV[2], 1)
  redis.call('ZADD', KEYS[4], ARGV[1], ARGV[1])
end
return 1
