-- Notes a device that is about to register for the first time. One that is noted keeps its time.
-- KEYS: the notes. ARGV: the time (ms), the device.
return redis.call('ZADD', KEYS[1], 'NX', ARGV[1], ARGV[2])
