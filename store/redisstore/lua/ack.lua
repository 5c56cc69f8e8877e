-- Ack forgets entries.
--
-- Arguments of a queue's part: the entries' places.
-- Returns nothing.
local replies

-- part forgets entries of a queue.
local function part(first, last)
  redis.call('ZREM', ARGV[first + 1], unpack(ARGV, first + 3, last))
  redis.call('HDEL', ARGV[first], unpack(ARGV, first + 3, last))
  replies[#replies + 1] = 0
end
