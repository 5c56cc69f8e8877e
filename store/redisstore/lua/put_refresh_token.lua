-- Keeps a new refresh token: 1, or 0 if its hash is taken, -1 if its sender has no such client.
-- KEYS: the clients, the refresh tokens, what belongs to what. ARGV: the sender, the client's ID, the hash, the record.
local client = redis.call('HGET', KEYS[1], ARGV[2])
if not client or cjson.decode(client).Sender ~= ARGV[1] then
  return -1
end
if redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[4]) == 0 then
  return 0
end
redis.call('ZADD', KEYS[3], 0, ARGV[1] .. '\0' .. ARGV[2] .. '\0' .. ARGV[3])
return 1
