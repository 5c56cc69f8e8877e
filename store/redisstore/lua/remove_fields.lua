-- Forgets fields of a hash.
-- KEYS: the hash. ARGV: the names.
return redis.call('HDEL', KEYS[1], unpack(ARGV))
