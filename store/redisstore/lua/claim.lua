#!lua flags=allow-oom,allow-cross-slot-keys
-- Claim hands the first living entries that wait to a lease.
--
-- A queue's part: now (ms), who may claim (1: who is the owner, if there is one; 2: an owner alone), the keys of the
-- queue and its order, the lease, the number of the call in seven digits, how many entries to look at, the place to
-- begin at, and whether the call was perhaps carried out before.
-- Returns the place and the record of each entry that was claimed, then the last place that was looked at if there
-- may be more.
local call, unpackStruct = redis.call, struct.unpack
local parts, replies = ARGV[1], nil

-- giveBack undoes a call whose reply was lost.
local function giveBack(q, w, me, number)
  local slot = call('HGET', q, me)
  if not slot then return end
  local score = '-' .. slot .. number
  for _, id in ipairs(call('ZRANGEBYSCORE', w, score, score)) do call('ZADD', w, id, id) end
end

-- part claims from a queue.
local function part(from)
  local now, fenced, q, w, me, number, count, place, again =
    unpackStruct(${CLAIM_PART}, parts, from)
  if again == 1 then giveBack(q, w, me, number) end

  local ids = call('ZRANGEBYSCORE', w, place, '(${ASIDE}', 'LIMIT', '0', count)
  if #ids == 0 then
    replies[#replies + 1] = 0
    return
  end
  local records = call('HMGET', q, me, 'o', unpack(ids))
  local slot, owners = records[1], records[2] or ''
  if slot == 'x' or fenced > 0 and owners ~= me and (fenced == 2 or owners ~= '') and
    not string.find(' ' .. owners .. ' ', ' ' .. me .. ' ', 1, true) then
    error({err = 'TAKENOVER the queue is another session\'s now'})
  end
  if not slot then
    slot = call('HINCRBY', q, 'l', 1)
    call('HSET', q, me, slot)
  end
  local score, marks, n = '-' .. slot .. number, nil, 0
  for i = 1, #ids do
    local record = records[i + 2]
    if not record or unpackStruct('<i8', record, ${EXPIRES}) <= now then
      records[i + 2] = false
    elseif marks then
      marks[n + 1] = score
      marks[n + 2] = ids[i]
      n = n + 2
    else
      marks, n = {score, ids[i]}, 2
    end
  end
  if marks then call('ZADD', w, unpack(marks)) end

  local more = #ids == tonumber(count)
  local at = #replies + 1
  replies[at] = more and n + 1 or n
  for i = 1, #ids do
    if records[i + 2] then
      replies[at + 1] = ids[i]
      replies[at + 2] = records[i + 2]
      at = at + 2
    end
  end
  if more then replies[at + 1] = ids[#ids] end
end
