-- Lists the nodes that have said a moment ago that they live.
-- KEYS live: hash of node -> ms
-- ARGV how long a moment is in ms
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local live, alive = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #live, 2 do
  if now - tonumber(live[i + 1]) <= tonumber(ARGV[1]) then
    alive[#alive + 1] = live[i]
  end
end
return alive
