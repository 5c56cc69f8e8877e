-- unnote forgets that a node has claimed from a queue, unless it has done so again.
--
-- KEYS  the node's queues
-- ARGV  the queue, the number of the last note
local number = redis.call('ZSCORE', KEYS[1], ARGV[1])
if number and tonumber(number) <= tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[1]) end
