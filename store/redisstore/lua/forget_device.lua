-- Forgets all registrations of a device, unless it has a session or they have changed since they were read.
-- KEYS: the device's registrations, its queue. ARGV: their version when read.
-- Returns 1 if the device has no registrations now, 0 if it has a session, -1 if they have changed.
local owner = redis.call('HGET', KEYS[2], 'o')
if owner and owner ~= '' then return 0 end
local version = redis.call('HGET', KEYS[1], '')
if not version then return 1 end
if version ~= ARGV[1] then return -1 end
redis.call('DEL', KEYS[1])
return 1
