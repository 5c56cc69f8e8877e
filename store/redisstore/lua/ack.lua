-- Ack forgets entries.
--
-- Arguments of a queue's part: the entries' places.

-- part forgets entries of a queue.
local function part(first, last)
  redis.call('HDEL', ARGV[first], unpack(ARGV, first + 3, last))
  redis.call('ZREM', ARGV[first + 1], unpack(ARGV, first + 3, last))
  return 1
end
