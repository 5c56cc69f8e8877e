-- Changes a project: 1, or 0 if it has changed since it was read.
-- KEYS: the projects, the index of keys. ARGV: the sender, the record as it was read, the new one.
-- each calls f for the hash of each key of a project's record.
local function each(record, f)
  local keys = cjson.decode(record).Keys
  if type(keys) == 'table' then
    for _, key in ipairs(keys) do
      f(string.char(unpack(key.Hash)))
    end
  end
end
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
each(ARGV[2], function(hash) redis.call('HDEL', KEYS[2], hash) end)
each(ARGV[3], function(hash) redis.call('HSET', KEYS[2], hash, ARGV[1]) end)
return 1
