-- Ack forgets entries.
--
-- A queue's part: the number of entries, the keys of the queue and its order, and the entries' places.
-- Returns the places of those that were not there.
local parts, replies = ARGV[1], nil

-- part forgets entries of a queue.
local function part(from)
  local n, q, w, place, next = struct.unpack(${ACK_PART}, parts, from)
  local places = {place}
  for i = 2, n do places[i], next = struct.unpack(${TEXT}, parts, next) end
  if redis.call('ZREM', w, unpack(places)) == n then
    redis.call('HDEL', q, unpack(places))
    replies[#replies + 1] = 0
    return
  end
  local at, missing = #replies + 1, 0
  replies[at] = 0
  for i = 1, n do
    if redis.call('HDEL', q, places[i]) == 0 then
      missing = missing + 1
      replies[at + missing] = places[i]
    end
  end
  replies[at] = missing
end
