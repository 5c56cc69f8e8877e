-- Keeps an app of GCM for Chrome: 1, or 0 if a project has it, -1 if there is no such project.
-- KEYS: the projects, the apps. ARGV: the sender, the app's ID, the record.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return -1
end
return redis.call('HSETNX', KEYS[2], ARGV[2], ARGV[3])
