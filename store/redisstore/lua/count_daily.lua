-- Adds to the count of a sender on a day: 1, or 0 if it would exceed the maximum (store.DailyCount's Advance).
-- KEYS: the counts. ARGV: the sender, the day, what is added, the maximum.
local day, count = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '0 0', '^(%d+) (%d+)$')
day, count = tonumber(day), tonumber(count)
local today, added = tonumber(ARGV[2]), tonumber(ARGV[3])
if today > day then
  day, count = today, 0
end
if added > 0 and count + added > tonumber(ARGV[4]) then
  return 0
end
count = math.max(count + added, 0)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %.0f', day, count))
return 1
