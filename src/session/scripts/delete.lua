-- Deletes a session, appends the audit's record and tells the others, also where there is none.
--
-- KEYS[2]  the session's key
-- KEYS[3]  the audit's stream, where there is an audit
-- ARGV[2]  channel of updates
-- ARGV[3]  the message
-- ARGV[4]  how many audit records may wait; 0: any number
-- ARGV[5]  the record's id
-- ARGV[6]  session id
-- ARGV[7]  when it was made, milliseconds
--
-- Returns how many keys were deleted: 0 or 1; -1: 1, but not audited, as many records wait as may.

local deleted = redis.call('EXISTS', KEYS[2])
local stream = deleted == 1 and KEYS[3]
local audited = stream and (ARGV[4] == '0' or redis.call('XLEN', stream) < tonumber(ARGV[4]))
local answer = stream and not audited and -1 or deleted
-- First a command that a full Redis does not refuse: after it, none of the others is. Then what
-- this user may not be allowed: until then nothing has changed that is not undone.
if audited then redis.call('XDEL', stream, '0-1') end
local record = audited and redis.pcall('XADD', stream, '*', 'id', ARGV[5], 'session', ARGV[6],
  'event', 'session_deleted', 'at', ARGV[7])
if type(record) == 'table' then return record end
local told = redis.pcall('PUBLISH', ARGV[2], ARGV[3])
if type(told) == 'table' then
  if record then redis.call('XDEL', stream, record) end
  return told
end
redis.call('DEL', KEYS[2])
note(answer)
return answer
