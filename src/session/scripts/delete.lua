-- Deletes a session, appends the audit record and publishes the deletion. Publishes it also where
-- there is no session.
--
-- KEYS[1]   the ledger (src/redis/scripts/ledger.lua)
-- KEYS[2]   the session's key
-- KEYS[3]   the audit stream, with an audit
-- ARGV[1]   the request's number (src/redis/scripts/ledger.lua)
-- ARGV[2]   the time of the call, milliseconds
-- ARGV[3]   the audit record's id, with an audit
--
-- Returns the number of deleted keys, 0 or 1; -1: deleted but not audited, the backlog is full.

local key, now = KEYS[2], ARGV[2]
local session_id = string.sub(key, #KEY_PREFIX + 1)
local deleted = redis.call('EXISTS', key)
local stream = deleted == 1 and KEYS[3]
local audited = stream and (BACKLOG_LIMIT == 0 or redis.call('XLEN', stream) < BACKLOG_LIMIT)
local answer = stream and not audited and -1 or deleted
-- First comes a write that changes nothing, and that Redis with a full memory accepts. A Redis that
-- refuses writes refuses it, before anybody is told of the deletion; after it, Redis refuses none.
-- Then come the commands that the user may not be allowed: nothing is left to be undone.
redis.call('EXPIRE', KEYS[1], '900')
local record = audited and redis.pcall('XADD', stream, '*', 'id', ARGV[3],
  'session', session_id, 'event', EVENT, 'at', now)
if type(record) == 'table' then return record end
local told = redis.pcall('PUBLISH', CHANNEL, cjson.encode({
  sessionId = session_id,
  deleted = true,
  timestamp = tonumber(now),
  keyPrefix = KEY_PREFIX,
}))
if type(told) == 'table' then
  if record then redis.call('XDEL', stream, record) end
  return told
end
redis.call('DEL', key)
note(answer)
return answer
