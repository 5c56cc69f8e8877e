#!lua flags=allow-oom
-- Notes that all claims of a dead node were given back. Should it be alive after all, it learns so for a day.
-- KEYS dead, buried: hashes of node -> ms
-- ARGV node
local t = redis.call('TIME')
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)))
redis.call('PEXPIRE', KEYS[2], 2 * 86400000)
return 1
