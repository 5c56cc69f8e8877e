#!lua flags=allow-oom
-- sweep takes the sweep over all queues for a node, or gives it back.
--
-- KEYS  the lock
-- ARGV  the node, and for how long (ms): 0 gives it back
-- Returns 1 if the node has it, or had it.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1
