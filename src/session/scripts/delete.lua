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
-- memory. Missing rights can refuse any command. So everything that can be undone comes before
-- PUBLISH, which cannot, and DEL shows before it whether it is allowed.
redis.call('EXPIRE', KEYS[1], '900')
local failed = note(answer)
if failed then return failed end

-- The error of DEL where it is not allowed. Redis 6.2 cannot be asked for rights; there DEL is
-- tried on a key that does not exist.
local function refusal_of_del()
  local reply
  if deleted == 0 then
    reply = redis.pcall('DEL', key)
  elseif not redis.acl_check_cmd then
    reply = redis.pcall('DEL', KEYS[1] .. ':none')
  elseif not redis.acl_check_cmd('DEL', key) then
    reply = redis.pcall('DEL', key)
  end
  return type(reply) == 'table' and reply
end

local record
failed = refusal_of_del()
if not failed and audited then
  local undo = redis.pcall('XDEL', stream, '0-0')
  record = type(undo) == 'table' and undo or redis.pcall('XADD', stream, '*', 'id', ARGV[3],
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
