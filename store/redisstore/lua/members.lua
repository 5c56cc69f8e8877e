#!lua flags=allow-oom
-- Returns what the nodes know of each other.
-- KEYS live, dead, buried: hashes of node -> ms
-- Returns the clock of Redis (ms), and what is in each hash: a node and its time by turns.
local t = redis.call('TIME')
local all = {t[1] * 1000 + math.floor(t[2] / 1000)}
for i = 1, 3 do all[i + 1] = redis.call('HGETALL', KEYS[i]) end
return all
