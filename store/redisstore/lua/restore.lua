-- Restore keeps entries of another store at their places, those that are not there yet, and judges no limit.
--
-- KEYS  the queue and its order
-- ARGV  now (ms), the caller's clock (µs), and for each entry its place and its record
local q, w = KEYS[1], KEYS[2]
local now, clock = tonumber(ARGV[1]), tonumber(ARGV[2])
local head = redis.call('HGET', q, 'h')
local seq, total, good, soonest = 0, 0, 0, math.huge
if head then seq, total, good, soonest = struct.unpack(${QUEUE}, head) end

local apps, longest = {}, -1
local function app(name)
  if not apps[name] then
    local a = redis.call('HMGET', q, 'a' .. name, 'k' .. name)
    apps[name] = {away = tonumber(a[1] or 0), keys = a[2] and cmsgpack.unpack(a[2]) or {}}
  end
  return apps[name]
end

for i = 3, #ARGV, 2 do
  local id, record = ARGV[i], ARGV[i + 1]
  if redis.call('HSETNX', q, id, record) == 1 then
    redis.call('ZADD', w, id, id)
    local flags, expires, _, _, name, collapse = struct.unpack(${RECORD}, record)
    seq, total = math.max(seq, id % ${RANK}), total + 1
    soonest, longest = math.min(soonest, expires), math.max(longest, expires - now, 0)
    if flags == ${AWAY} or collapse > 0 then
      local a = app(record:sub(${HEADER} + 1, ${HEADER} + name))
      a.away = a.away + flags
      if collapse > 0 then
        a.keys[#a.keys + 1] = record:sub(${HEADER} + 1 + name, ${HEADER} + name + collapse)
        a.keys[#a.keys + 1] = id
      end
    end
  end
end
if longest < 0 then return end

-- Put evicts the keys from the front: they are in the order in which they were put, whatever their rank.
for name, a in pairs(apps) do
  local list, keys = {}, {}
  for i = 1, #a.keys, 2 do list[#list + 1] = {a.keys[i], a.keys[i + 1]} end
  table.sort(list, function(x, y) return x[2] % ${RANK} < y[2] % ${RANK} end)
  for _, p in ipairs(list) do
    keys[#keys + 1] = p[1]
    keys[#keys + 1] = p[2]
  end
  redis.call('HSET', q, 'a' .. name, a.away, 'k' .. name, cmsgpack.pack(keys))
end

local ttl
if clock + longest * 1000 > good then
  ttl = math.max(longest * ${KEYS_LONGER_BY} + ${KEYS_LONGER_FOR}, redis.call('PTTL', q)) -- as in Put
  good = clock + (ttl - ${KEYS_SLACK}) * 1000
  redis.call('ZADD', w, '+inf', '-')
end
redis.call('HSET', q, 'h', struct.pack(${QUEUE}, seq, total, good, soonest))
if ttl then
  ttl = string.format('%.0f', ttl)
  redis.call('PEXPIRE', q, ttl)
  redis.call('PEXPIRE', w, ttl)
end
