-- remember keeps a dedup string of another store, for as long as Put would.
--
-- KEYS  the dedup string
-- ARGV  until when it is known, and how long that is (both ms)
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', ARGV[2] + ${DEDUP_SLACK}))
