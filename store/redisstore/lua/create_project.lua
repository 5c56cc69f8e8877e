-- Keeps a new project: 1, or 0 if there is one.
-- KEYS: the projects. ARGV: the sender, the record.
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
