-- Forgets a refresh token: 1, or 0 if there is none.
-- KEYS: the refresh tokens, what belongs to what. ARGV: the hash.
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then
  return 0
end
local token = cjson.decode(record)
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], token.Sender .. '\0' .. token.Client .. '\0' .. ARGV[1])
return 1
