-- Notes which device a registration token is for, and returns which it is: somebody else's if the token is taken.
-- KEYS: the token's. ARGV: the device.
redis.call('SETNX', KEYS[1], ARGV[1])
return redis.call('GET', KEYS[1])
