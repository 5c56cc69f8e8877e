#!lua flags=allow-oom
-- unsubscribe forgets topics or groups of a place of a device.
--
-- KEYS  the topics of the place, or its groups
-- ARGV  the topics or groups
redis.call('HDEL', KEYS[1], unpack(ARGV))
return 1
