#!lua flags=allow-oom
-- unsubscribe forgets topics of a place of a device.
--
-- KEYS  the topics of the place
-- ARGV  the topics
redis.call('HDEL', KEYS[1], unpack(ARGV))
return 1
