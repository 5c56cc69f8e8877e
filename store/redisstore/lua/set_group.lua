-- set_group replaces the record of a device group.
--
-- KEYS  the record
-- ARGV  the record as it was read, and the new one; '' stands for none
-- Returns 1, or 0 if the record is neither.
local now = redis.call('GET', KEYS[1]) or ''
if now == ARGV[2] then return 1 end
if now ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2])
end
return 1
