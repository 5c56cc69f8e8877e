#!lua flags=allow-oom
-- Changes what the nodes know of each other, if it is what the caller has read.
-- KEYS live, dead, buried: hashes of node -> ms
-- ARGV how long the keys last (ms); for each node its name, what the three hashes had for it, and what they get; '' for
-- nothing
-- Returns 1, or 0 if another caller was faster: then nothing has changed.
local fields = 7
for i = 2, #ARGV, fields do
  for h = 1, 3 do
    local has = redis.call('HGET', KEYS[h], ARGV[i]) or ''
    if has ~= ARGV[i + h] and tonumber(has) ~= tonumber(ARGV[i + h]) then return 0 end
  end
end
for i = 2, #ARGV, fields do
  for h = 1, 3 do
    local was, now = ARGV[i + h], ARGV[i + 3 + h]
    if now == '' then
      if was ~= '' then redis.call('HDEL', KEYS[h], ARGV[i]) end
    elseif now ~= was then
      redis.call('HSET', KEYS[h], ARGV[i], now)
    end
  end
end
for h = 1, 3 do redis.call('PEXPIRE', KEYS[h], ARGV[1]) end
return 1
