#!lua flags=allow-oom
-- Notes that a session has a queue.
-- KEYS  the queue and its order
-- ARGV owner (node/lease), 1 if the queue can have one only, 1 to take it from another, ms until the key may go
-- Returns the owner that has it: the one given, or the other one that stands in the way; and the one it was taken from.
local o = redis.call('HGET', KEYS[1], 'o') or ''
local taken = ''
if ARGV[2] == '1' then
  if o ~= '' and o ~= ARGV[1] then
    if ARGV[3] ~= '1' then
      return {o, ''}
    end
    taken = o
  end
  o = ARGV[1]
elseif not string.find(' ' .. o .. ' ', ' ' .. ARGV[1] .. ' ', 1, true) then
  o = o == '' and ARGV[1] or o .. ' ' .. ARGV[1]
end
redis.call('HSET', KEYS[1], 'o', o)
redis.call('HDEL', KEYS[1], 'b')
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return {ARGV[1], taken}
