-- Ack forgets entries.
--
-- A queue's part: the number of entries, the keys of the queue and its order, and the entries' places.
-- Returns nothing.
local parts, replies = ARGV[1], nil

-- part forgets entries of a queue.
local function part(from)
  local n, q, w, place, next = struct.unpack('<I4I4c0I4c0I4c0', parts, from)
  local places = {place}
  for i = 2, n do places[i], next = struct.unpack('<I4c0', parts, next) end
  redis.call('ZREM', w, unpack(places))
  redis.call('HDEL', q, unpack(places))
  replies[#replies + 1] = 0
end
