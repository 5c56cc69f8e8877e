#!lua flags=allow-oom
-- claim_fanouts gives fan-outs that nobody holds to a lease. First it ends leases that have lapsed.
--
-- KEYS  the records, the progress, the senders, the holders, the leases, the projects whose turn it will be, those of
--       the lease
-- ARGV  the lease, for how long it lasts (ms), how many to give, the key of a project's free ones without its name, that
--       of those of a lease without its number, and those that the lease is known to hold
-- Returns for each its number, its record and its progress. The first are those that a lost reply named.
local call = redis.call
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
call('ZADD', KEYS[5], now + ARGV[2], ARGV[1])
for _, lapsed in ipairs(call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, 10)) do
  local held = ARGV[5] .. lapsed
  for _, id in ipairs(call('SMEMBERS', held)) do
    call('HDEL', KEYS[4], id)
    local sender = call('HGET', KEYS[3], id)
    if sender then
      if call('EXISTS', ARGV[4] .. sender) == 0 then call('RPUSH', KEYS[6], sender) end
      call('ZADD', ARGV[4] .. sender, id, id)
    end
  end
  call('DEL', held)
  call('ZREM', KEYS[5], lapsed)
end
local known, given = {}, {}
for i = 6, #ARGV do known[ARGV[i]] = true end
local function give(id)
  given[#given + 1] = id
  given[#given + 1] = call('HGET', KEYS[1], id)
  given[#given + 1] = call('HGET', KEYS[2], id)
end
for _, id in ipairs(call('SMEMBERS', KEYS[7])) do
  if not known[id] then give(id) end
end
for _ = 1, ARGV[3] do
  local sender = call('LPOP', KEYS[6])
  if not sender then break end
  local free = ARGV[4] .. sender
  local id = call('ZPOPMIN', free)[1]
  if call('EXISTS', free) == 1 then call('RPUSH', KEYS[6], sender) end
  if id then
    call('HSET', KEYS[4], id, ARGV[1])
    call('SADD', KEYS[7], id)
    give(id)
  end
end
return given
