-- Keeps a new OAuth client: 1, or 0 if its ID is taken, -1 if there is no such project.
-- KEYS: the projects, the clients, what belongs to what. ARGV: the sender, the client's ID, the record.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return -1
end
if redis.call('HSETNX', KEYS[2], ARGV[2], ARGV[3]) == 0 then
  return 0
end
redis.call('ZADD', KEYS[3], 0, ARGV[1] .. '\0' .. ARGV[2] .. '\0')
return 1
