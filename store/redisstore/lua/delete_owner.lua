-- Forgets a project with its OAuth clients and their refresh tokens, or a client with its tokens: 1, or 0 if it
-- is not there.
-- KEYS: the hash that it is in, the clients, the refresh tokens, what belongs to what.
-- ARGV: its name in its hash; what is behind the sender in the names of all that belongs to it.
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
local first = cjson.decode(record).Sender .. '\0' .. ARGV[2]
local last = string.sub(first, 1, -2) .. '\1'
local owned = redis.call('ZRANGEBYLEX', KEYS[4], '[' .. first, '(' .. last)
for _, name in ipairs(owned) do
  local client, hash = string.match(name, '^[^%z]*%z([^%z]*)%z(.*)$')
  if hash == '' then
    redis.call('HDEL', KEYS[2], client)
  else
    redis.call('HDEL', KEYS[3], hash)
  end
end
redis.call('ZREMRANGEBYLEX', KEYS[4], '[' .. first, '(' .. last)
return 1
