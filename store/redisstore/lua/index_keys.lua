-- Makes the index of keys from the projects.
-- KEYS: the projects, the index of keys.
-- each calls f for the hash of each key of a project's record.
local function each(record, f)
  local keys = cjson.decode(record).Keys
  if type(keys) == 'table' then
    for _, key in ipairs(keys) do
      f(string.char(unpack(key.Hash)))
    end
  end
end
local projects = redis.call('HGETALL', KEYS[1])
for i = 1, #projects, 2 do
  each(projects[i + 1], function(hash) redis.call('HSET', KEYS[2], hash, projects[i]) end)
end
return 1
