-- Keeps a new project: 1, or 0 if there is one.
-- KEYS: the projects, the index of keys. ARGV: the sender, the record.
-- each calls f for the hash of each key of a project's record.
local function each(record, f)
  local keys = cjson.decode(record).Keys
  if type(keys) == 'table' then
    for _, key in ipairs(keys) do
      f(string.char(unpack(key.Hash)))
    end
  end
end
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return 0
end
each(ARGV[2], function(hash) redis.call('HSET', KEYS[2], hash, ARGV[1]) end)
return 1
