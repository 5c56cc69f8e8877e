-- restore_fanout keeps a fan-out that nobody holds, unless it exists.
--
-- KEYS  the records, the progress, the senders, the numbers of the projects, the projects whose turn it will be, the
--       free ones of the project
-- ARGV  the number, the sender, the record, the progress
local call = redis.call
if call('HSETNX', KEYS[1], ARGV[1], ARGV[3]) == 1 then
  call('HSET', KEYS[2], ARGV[1], ARGV[4])
  call('HSET', KEYS[3], ARGV[1], ARGV[2])
  call('HINCRBY', KEYS[4], ARGV[2], 1)
  if call('EXISTS', KEYS[6]) == 0 then call('RPUSH', KEYS[5], ARGV[2]) end
  call('ZADD', KEYS[6], ARGV[1], ARGV[1])
end
return 1
