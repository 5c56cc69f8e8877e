-- Forgets registrations of a device. A change that was decided before has to be decided anew.
-- KEYS: the device's registrations. ARGV: the tokens.
redis.call('HINCRBY', KEYS[1], '', 1)
for _, token in ipairs(ARGV) do
  redis.call('HDEL', KEYS[1], token)
end
