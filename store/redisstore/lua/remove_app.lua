-- Forgets an app of GCM for Chrome: 1, or -1 if the sender has no such app.
-- KEYS: the apps. ARGV: the sender, the app's ID.
local record = redis.call('HGET', KEYS[1], ARGV[2])
if not record or cjson.decode(record).Sender ~= ARGV[1] then
  return -1
end
redis.call('HDEL', KEYS[1], ARGV[2])
return 1
