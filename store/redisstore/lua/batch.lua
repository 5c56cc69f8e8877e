-- What ends each script that takes the parts of many queues at once. What a script is given and returns costs as
-- much as what it does, so that it is given one string of parts, each behind its length and how many of the other
-- arguments are its, and returns one list: behind the number of them, what each part returns. A part that fails
-- fails alone, with an error in place of the number. A script that sets ended has it called behind the last part.
replies = {}
local from, arg = 1, 2
while from < #parts do
  local length, args = struct.unpack(${PART}, parts, from)
  local ok, failure = pcall(part, from + 8, arg)
  if not ok then replies[#replies + 1] = {err = type(failure) == 'table' and failure.err or tostring(failure)} end
  from, arg = from + 8 + length, arg + args
end
if ended then pcall(ended) end
return replies
