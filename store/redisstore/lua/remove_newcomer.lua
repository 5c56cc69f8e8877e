-- Takes the notes of devices back.
-- KEYS: the notes. ARGV: the devices.
return redis.call('ZREM', KEYS[1], unpack(ARGV))
