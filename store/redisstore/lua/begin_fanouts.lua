-- begin_fanouts keeps fan-outs that nobody holds.
--
-- KEYS  the records, the progress, the senders, the numbers of the projects, the projects whose turn it will be
-- ARGV  the key of a project's free ones without its name, how many a project may have; for each fan-out its number, its
--       sender, its record, its progress
-- Returns for each 1, 0 if the project has too many, -1 if the number is taken.
local call = redis.call
local kept = {}
for i = 3, #ARGV, 4 do
  local id, sender, record = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local old = call('HGET', KEYS[1], id)
  if old then
    kept[#kept + 1] = old == record and 1 or -1 -- the reply to an earlier run was lost
  elseif tonumber(call('HGET', KEYS[4], sender) or 0) >= tonumber(ARGV[2]) then
    kept[#kept + 1] = 0
  else
    call('HSET', KEYS[1], id, record)
    call('HSET', KEYS[2], id, ARGV[i + 3])
    call('HSET', KEYS[3], id, sender)
    call('HINCRBY', KEYS[4], sender, 1)
    if call('EXISTS', ARGV[1] .. sender) == 0 then call('RPUSH', KEYS[5], sender) end
    call('ZADD', ARGV[1] .. sender, id, id)
    kept[#kept + 1] = 1
  end
end
return kept
