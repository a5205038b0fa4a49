-- The end of every script that writes a session: notes `answer` in the ledger, appends the audit
-- record, publishes and stores `document`; all of it or nothing.
--
-- KEYS and ARGV are those of the rule (create.lua, absent.lua, locked.lua, any.lua), which has
-- defined `unchanged`: the option with which SET does nothing (NX where the key exists, else XX).
--
-- Returns `answer`; negative where the record was not appended, because the backlog is full.

local key, stream, now = KEYS[2], KEYS[3], ARGV[3]
local session_id = string.sub(key, #KEY_PREFIX + 1)
local audited = stream and (BACKLOG_LIMIT == 0 or redis.call('XLEN', stream) < BACKLOG_LIMIT)
if stream and not audited then answer = '-' .. answer end
-- This order leaves nothing half done, whatever Redis refuses. A full memory refuses the first
-- command that writes, which is the note. Missing rights can refuse any command. So PUBLISH, which
-- cannot be undone, comes after all that may be refused, except for SET: the right to that is checked
-- first, as is the right to XDEL, which may have to undo XADD.
-- The record's field `write` says that its id is a place in the order of the writes.
check_right('SET', key, '', unchanged)
if audited then check_right('XDEL', stream, '0-0') end
local failed = note(answer)
if failed then return failed end
local record
if audited then
  record = redis.pcall('XADD', stream, '*', 'id', ARGV[#ARGV],
    'session', session_id, 'event', EVENT, 'at', now, 'write', '1', 'state', document)
  if type(record) == 'table' then failed, record = record, nil end
end
if not failed then
  -- The document is one string here. cjson keeps strings as they are; it would change numbers and
  -- empty lists inside the document.
  local told = redis.pcall('PUBLISH', CHANNEL, cjson.encode({
    sessionId = session_id,
    state = document,
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
redis.call('SET', key, document, 'EX', TTL)
return tonumber(answer)
