-- keep_marks keeps marks of messages that are in no queue.
--
-- KEYS  the marks
-- ARGV  for how long the key lasts (ms), the marks
redis.call('APPEND', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
