-- Keeps a new project in a store that never had one: 1, or 0 if it has or had one.
-- KEYS: the projects, the secrets, the index of keys. ARGV: the sender, the record, the name and the value of the secret that says so.
-- each calls f for the hash of each key of a project's record.
local function each(record, f)
  local keys = cjson.decode(record).Keys
  if type(keys) == 'table' then
    for _, key in ipairs(keys) do
      f(string.char(unpack(key.Hash)))
    end
  end
end
local first = redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[4])
if first == 0 or redis.call('HLEN', KEYS[1]) > 0 then
	return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
each(ARGV[2], function(hash) redis.call('HSET', KEYS[3], hash, ARGV[1]) end)
return 1
