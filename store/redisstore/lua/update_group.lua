-- update_group changes or removes a device group.
--
-- KEYS  the groups of the project by key, and their keys by name
-- ARGV  the key, the name, the record as it was read, the new record, which is empty to remove the group
-- Returns 1, or 0 if the group has changed since.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[3] then return 0 end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
else
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[2])
end
return 1
