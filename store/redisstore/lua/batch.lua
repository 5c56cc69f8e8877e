-- What ends each script that takes the parts of many queues at once. A part is two keys, the number of its
-- arguments, and these. One that fails fails alone.
local replies, first = {}, 1
while ARGV[first] do
  local last = first + 2 + ARGV[first + 2]
  local ok, reply = pcall(part, first, last)
  replies[#replies + 1] = ok and reply or {err = type(reply) == 'table' and reply.err or tostring(reply)}
  first = last + 1
end
return replies
