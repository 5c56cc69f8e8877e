-- Keeps a new project in a store that never had one: 1, or 0 if it has or had one.
-- KEYS: the projects, the secrets. ARGV: the sender, the record, the name and the value of the secret that says so.
local first = redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[4])
if first == 0 or redis.call('HLEN', KEYS[1]) > 0 then
	return 0
end
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
