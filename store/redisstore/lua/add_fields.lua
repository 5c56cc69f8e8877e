-- Keeps fields of a hash, unless they are there.
-- KEYS: the hash. ARGV: names and values that take turns.
for i = 1, #ARGV, 2 do
  redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
end
return 1
