#!lua flags=allow-oom
-- Says that a node lives, and which others do not.
-- KEYS live, dead, buried: hashes of node -> ms
-- ARGV node, heartbeat in ms
-- Returns 1, or 0 if the others took this node for dead, and the nodes whose claims the caller is to give back.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local beat = tonumber(ARGV[2])
local day = 86400000

local function ms(n) return string.format('%.0f', n) end

local alive = 0
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 and redis.call('HEXISTS', KEYS[3], ARGV[1]) == 0 then
  alive = 1
end

local live = redis.call('HGETALL', KEYS[1])
local last = 0
for i = 1, #live, 2 do
  last = math.max(last, tonumber(live[i + 1]))
end
-- Where nobody has beaten for so long, it is Redis that was away, or stood still.
local grace = now - last > beat
for i = 1, #live, 2 do
  local node, seen = live[i], tonumber(live[i + 1])
  if node ~= ARGV[1] then
    if grace then
      redis.call('HSET', KEYS[1], node, ms(now))
    elseif now - seen > 1.5 * beat then
      redis.call('HDEL', KEYS[1], node)
      redis.call('HSET', KEYS[2], node, '0')
    end
  end
end
if alive == 1 then
  redis.call('HSET', KEYS[1], ARGV[1], ms(now))
end

-- Who is to give back has two heartbeats for it before it is another's turn.
local reap = {}
local dead = redis.call('HGETALL', KEYS[2])
for i = 1, #dead, 2 do
  if tonumber(dead[i + 1]) <= now then
    redis.call('HSET', KEYS[2], dead[i], ms(now + 2 * beat))
    reap[#reap + 1] = dead[i]
  end
end
local buried = redis.call('HGETALL', KEYS[3])
for i = 1, #buried, 2 do
  if now - tonumber(buried[i + 1]) > day then
    redis.call('HDEL', KEYS[3], buried[i])
  end
end
for i = 1, 3 do
  redis.call('PEXPIRE', KEYS[i], 2 * day)
end
return {alive, reap}
