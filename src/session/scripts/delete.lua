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
-- This order leaves nothing half done, whatever Redis refuses. First comes a write that changes
-- nothing, and that Redis with a full memory accepts: after it, no command is refused for the
-- memory. Missing rights can refuse any command. So PUBLISH, which cannot be undone, comes after all
-- that may be refused, except for DEL: the right to that is checked first, as is the right to XDEL,
-- which may have to undo XADD. Where rights cannot be asked for, a key is deleted that does not exist.
redis.call('EXPIRE', KEYS[1], '900')
check_right('DEL', redis.acl_check_cmd and key or KEYS[1] .. ':none')
if audited then check_right('XDEL', stream, '0-0') end
local failed = note(answer)
if failed then return failed end
local record
if audited then
  record = redis.pcall('XADD', stream, '*', 'id', ARGV[3],
    'session', session_id, 'event', EVENT, 'at', now)
  if type(record) == 'table' then failed, record = record, nil end
end
if not failed then
  local told = redis.pcall('PUBLISH', CHANNEL, cjson.encode({
    sessionId = session_id,
    deleted = true,
    timestamp = tonumber(now),
    keyPrefix = KEY_PREFIX,
  }))
  failed = type(told) == 'table' and told
end
if failed then
  erase()
  if record then redis.call('XDEL', stream, record) end
  return failed
end
redis.call('DEL', key)
return answer
