-- Returns a secret, and keeps a fresh one if there is none.
-- KEYS: the secrets. ARGV: the name, the fresh secret.
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1])
