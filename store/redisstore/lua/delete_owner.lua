-- Forgets a project with its OAuth clients and their refresh tokens, or a client with its tokens: 1, or 0 if it
-- is not there.
-- KEYS: the hash that it is in, the clients, the refresh tokens, what belongs to what, and for a project the
-- index of keys, the apps and the daily counts.
-- ARGV: its name in its hash; what is behind the sender in the names of all that belongs to it.
-- each calls f for the hash of each key of a project's record.
local function each(record, f)
  local keys = cjson.decode(record).Keys
  if type(keys) == 'table' then
    for _, key in ipairs(keys) do
      f(string.char(unpack(key.Hash)))
    end
  end
end
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
if KEYS[5] then
  each(record, function(hash) redis.call('HDEL', KEYS[5], hash) end)
  local apps = redis.call('HGETALL', KEYS[6])
  for i = 1, #apps, 2 do
    if cjson.decode(apps[i + 1]).Sender == ARGV[1] then redis.call('HDEL', KEYS[6], apps[i]) end
  end
  redis.call('HDEL', KEYS[7], ARGV[1])
end
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
