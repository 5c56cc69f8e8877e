-- subscribe notes that a place of a device is subscribed to a topic, or is in a device group.
--
-- KEYS  the topics of the place, or its groups
-- ARGV  the topic or group, the token, the record, how many of them a place may have
-- Returns the record, which is an older one if the token is subscribed already; false if there are too many.
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then
  if string.match(old, ' (.*)$') == ARGV[2] then return old end
elseif redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
  return false
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return ARGV[3]
