-- Ack forgets entries.
--
-- KEYS  the queue and its order
-- ARGV  the entries' places
redis.call('HDEL', KEYS[1], unpack(ARGV))
redis.call('ZREM', KEYS[2], unpack(ARGV))
