-- Deletes a session and tells the others, also where there is none.
--
-- KEYS[1]  the session's key
-- KEYS[2]  the ledger of the connection
-- KEYS[3]  the audit's stream, where there is an audit
-- ARGV[1]  channel of updates
-- ARGV[2]  the message
-- ARGV[3]  this request's field in the ledger
-- ARGV[4]  its number
-- ARGV[5]  'repeated' after a lost answer, else ''
-- ARGV[6]  the ledger's TTL, seconds, where this request renews it, else 0
-- ARGV[7]  how many audit records may wait; 0: any number
-- ARGV[8]  the record's id
-- ARGV[9]  session id
-- ARGV[10] when it was made, milliseconds
--
-- Returns how many keys were deleted: 0 or 1; -1: 1, but not audited, as many records wait as may.

if ARGV[5] == 'repeated' then
  local entry = redis.call('HGET', KEYS[2], ARGV[3])
  local landed = entry and string.match(entry, '^' .. ARGV[4] .. ':(%-?%d+)$')
  if landed then return tonumber(landed) end
end

local deleted = redis.call('EXISTS', KEYS[1])
local audited = KEYS[3] and deleted == 1 and
  (ARGV[7] == '0' or redis.call('XLEN', KEYS[3]) < tonumber(ARGV[7]))
local answer = KEYS[3] and not audited and -deleted or deleted
-- First what may be refused: until then nothing has changed that is not undone.
local record = audited and redis.pcall('XADD', KEYS[3], '*', 'id', ARGV[8], 'session', ARGV[9],
  'event', 'session_deleted', 'at', ARGV[10])
if type(record) == 'table' then return record end
local told = redis.pcall('PUBLISH', ARGV[1], ARGV[2])
if type(told) == 'table' then
  if record then redis.call('XDEL', KEYS[3], record) end
  return told
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4] .. ':' .. answer)
if ARGV[6] ~= '0' then redis.call('EXPIRE', KEYS[2], ARGV[6]) end
return answer
