-- Looks at a queue that a session has: the truth behind the hints.
-- KEYS  the queue and its order
-- ARGV owner (node/lease)
-- Returns whether the owner still has it, whether another one has, and whether something waits.
local o = redis.call('HGET', KEYS[1], 'o') or ''
local mine = string.find(' ' .. o .. ' ', ' ' .. ARGV[1] .. ' ', 1, true) and 1 or 0
local waiting = redis.call('ZRANGEBYSCORE', KEYS[2], 0, '(${ASIDE}', 'LIMIT', 0, 1)
return {mine, o ~= '' and 1 or 0, #waiting}
