-- Claim hands the first living entries that wait to a lease.
--
-- Arguments of a queue's part: now (ms), the lease, the number of the call, how many at most, 1 if another owner
-- forbids it or 2 if only an owner may claim, and 1 if the call was perhaps carried out before.
-- Reply: the place and the record of each entry.
local call, unpackStruct = redis.call, struct.unpack

-- part claims from a queue.
local function part(first, last)
  local q, w, now, me, left = ARGV[first], ARGV[first + 1], ARGV[first + 3], '@' .. ARGV[first + 4], ARGV[first + 6]
  now, left = tonumber(now), tonumber(left)

  if last > first + 7 then -- what the lost reply named is given back
    local slot = call('HGET', q, me)
    local score = slot and string.format('%.0f', -(slot * 1048576 + ARGV[first + 5]))
    for _, id in ipairs(slot and call('ZRANGEBYSCORE', w, score, score) or {}) do call('ZADD', w, id, id) end
  end

  local reply, marks, slot = {}, {}, nil
  local from = '0'
  repeat
    local asked = left
    local ids = call('ZRANGEBYSCORE', w, from, '(6755399441055744', 'LIMIT', 0, asked)
    if #ids == 0 then break end
    local records = call('HMGET', q, 'o', me, unpack(ids))
    local owners, fence = ' ' .. (records[1] or '') .. ' ', ARGV[first + 7]
    slot = records[2]
    if slot == 'x' or fence ~= '0' and (fence == '2' or #owners > 2) and
      not owners:find(' ' .. ARGV[first + 4] .. ' ', 1, true) then
      return {err = 'TAKENOVER the queue is another session\'s now'}
    end
    for i, id in ipairs(ids) do
      local record = records[i + 2]
      if record and unpackStruct('<i8', record, 2) > now then
        reply[#reply + 1] = id
        reply[#reply + 1] = record
        marks[#marks + 1] = 0
        marks[#marks + 1] = id
        left = left - 1
      end
    end
    from = '(' .. ids[#ids]
  until #ids < asked or left == 0

  if #marks == 0 then return reply end
  if not slot then
    slot = call('HINCRBY', q, 'l', 1)
    call('HSET', q, me, slot)
  end
  local score = string.format('%.0f', -(slot * 1048576 + ARGV[first + 5]))
  for i = 1, #marks, 2 do marks[i] = score end
  call('ZADD', w, unpack(marks))
  return reply
end
