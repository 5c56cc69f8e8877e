-- Changes an OAuth client: 1, or 0 if it has changed since it was read.
-- KEYS: the clients. ARGV: the client's ID, the record as it was read, the new one.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
