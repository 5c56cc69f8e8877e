-- add_subscribers lists subscribers of a topic, each in the place of an older record.
--
-- KEYS  the subscribers of the topic
-- ARGV  for each the place and the record
for i = 1, #ARGV, 2 do
  redis.call('ZREMRANGEBYLEX', KEYS[1], '[' .. ARGV[i], '(' .. ARGV[i] .. '\255')
  redis.call('ZADD', KEYS[1], 0, ARGV[i] .. ARGV[i + 1])
end
return 1
