#!lua flags=allow-oom
-- remove_subscribers removes subscribers from the list of a topic.
--
-- KEYS  the subscribers of the topic
-- ARGV  the places
for i = 1, #ARGV do
  redis.call('ZREMRANGEBYLEX', KEYS[1], '[' .. ARGV[i], '(' .. ARGV[i] .. '\255')
end
return 1
