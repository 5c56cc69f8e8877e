-- Writes registrations of a device: 1, or 0 if they have changed since they were read.
-- KEYS: the device's registrations. ARGV: their version when read, then a token and a record for each.
if (redis.call('HGET', KEYS[1], '') or '0') ~= ARGV[1] then
  return 0
end
redis.call('HINCRBY', KEYS[1], '', 1)
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return 1
