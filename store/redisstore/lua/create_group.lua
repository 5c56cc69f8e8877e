-- create_group stores a new device group.
--
-- KEYS  the groups of the project by key, and their keys by name
-- ARGV  the key, the name, the record
-- Returns 1, or 0 if the key or the name is taken.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 or redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then
  return redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[3] and 1 or 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1])
return 1
