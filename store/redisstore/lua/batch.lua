-- What ends each script that takes the parts of many queues at once. A part is two keys, the number of its
-- arguments, and these; what it returns is behind how many values that is. Nothing is nested, for what a script
-- is given and returns costs as much as what it does. A part that fails fails alone, with an error for a number.
replies = {}
local first = 1
while ARGV[first] do
  local last = first + 2 + ARGV[first + 2]
  local ok, failure = pcall(part, first, last)
  if not ok then replies[#replies + 1] = {err = type(failure) == 'table' and failure.err or tostring(failure)} end
  first = last + 1
end
return replies
