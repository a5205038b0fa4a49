-- The end of every script that writes a session: notes `answer` in the ledger, appends the audit
-- record, publishes and stores `document`; all of it or nothing.
--
-- KEYS and ARGV are those of the rule (create.lua, absent.lua, locked.lua, any.lua).
--
-- Returns `answer`; negative where the record was not appended, because the backlog is full.

local key, stream, now = KEYS[2], KEYS[3], ARGV[3]
local session_id = string.sub(key, #KEY_PREFIX + 1)
local audited = stream and (BACKLOG_LIMIT == 0 or redis.call('XLEN', stream) < BACKLOG_LIMIT)
if stream and not audited then answer = '-' .. answer end
-- This order leaves nothing half done. Redis with a full memory refuses the first command that
-- writes, which is the note. Where the user may not append or publish, the script takes back what
-- it has done.
note(answer)
local record = audited and redis.pcall('XADD', stream, '*', 'id', ARGV[#ARGV],
  'session', session_id, 'event', EVENT, 'at', now, 'state', document)
local told = record
if type(record) ~= 'table' then
  -- The document is one string here. cjson keeps strings as they are; it would change numbers and
  -- empty lists inside the document.
  told = redis.pcall('PUBLISH', CHANNEL, cjson.encode({
    sessionId = session_id,
    state = document,
    timestamp = tonumber(now),
    keyPrefix = KEY_PREFIX,
  }))
end
if type(told) == 'table' then
  redis.call('SETRANGE', KEYS[1], place, ';')
  if type(record) == 'string' then redis.call('XDEL', stream, record) end
  return told
end
redis.call('SET', key, document, 'EX', TTL)
return tonumber(answer)
