-- Sets the count of a sender, unless there is one of a later day, or a higher one of the same day.
-- KEYS: the counts. ARGV: the sender, the day, the count.
local day, count = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '-1 0', '^(-?%d+) (%d+)$')
day, count = tonumber(day), tonumber(count)
local new, higher = tonumber(ARGV[2]), tonumber(ARGV[3])
if day < new or day == new and count < higher then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
end
return 1
