-- Purge forgets all entries of one app instance (CCS 5.7).
--
-- KEYS  the queue and its order
-- ARGV  the app
-- Returns the places of the entries.
local q, w, app, purged = KEYS[1], KEYS[2], ARGV[1], {}
local all = redis.call('ZRANGE', w, 0, -1)
for from = 1, #all, 500 do
  local ids = {unpack(all, from, math.min(from + 499, #all))}
  local gone = {}
  for i, record in ipairs(redis.call('HMGET', q, unpack(ids))) do
    if record then
      local length = struct.unpack('<I4', record, ${APP_LENGTH})
      if record:sub(${HEADER} + 1, ${HEADER} + length) == app then gone[#gone + 1] = ids[i] end
    end
  end
  if #gone > 0 then
    redis.call('HDEL', q, unpack(gone))
    redis.call('ZREM', w, unpack(gone))
    for i = 1, #gone do purged[#purged + 1] = gone[i] end
  end
end
redis.call('HDEL', q, 'a' .. app, 'k' .. app)
return purged
