#!lua flags=allow-oom
-- note remembers for others that a node has claimed from a queue.
--
-- KEYS  the node's queues
-- ARGV  the queue, the number of this note, for how long the node's queues are remembered (ms)
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
