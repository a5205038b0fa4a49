-- Defines `announce`, which notes a change in the ledger, appends its audit record and publishes it: all
-- of it or nothing. The caller makes the change itself afterwards; the right to that is checked before.
--
-- This order leaves nothing half done, whatever Redis refuses. A full memory refuses the first command
-- that writes, which is the note. Missing rights can refuse any command. So PUBLISH, which cannot be
-- undone, comes after all that may be refused; the right to XDEL, which may have to undo XADD, is checked
-- first.

-- `document` is the session after the change; nil: it is deleted. Without a `stream` there is no record.
-- ARGV has at `record_at` the record's id. Where the caller tells the reason of the change, its event
-- type follows, and perhaps the name and the value of a field of the record.
--
-- Returns nothing, or the error where Redis refuses and nothing has happened.
local function announce(answer, key, document, now, stream, record_at)
  local session_id = string.sub(key, #KEY_PREFIX + 1)
  if stream then check_right('XDEL', stream, '0-0') end
  local failed = note(answer)
  if failed then return failed end
  local record
  local id, event = ARGV[record_at], ARGV[record_at + 1] or EVENT
  if stream and document then
    -- The field `write` says that the record's id is a place in the order of the writes.
    record = redis.pcall('XADD', stream, '*', 'id', id, 'session', session_id, 'event', event,
      'at', now, 'write', '1', 'state', document, unpack(ARGV, record_at + 2))
  elseif stream then
    record = redis.pcall('XADD', stream, '*', 'id', id, 'session', session_id, 'event', event,
      'at', now, unpack(ARGV, record_at + 2))
  end
  if type(record) == 'table' then failed, record = record, nil end
  if not failed then
    -- The document is one string here. cjson keeps strings as they are; it would change numbers and
    -- empty lists inside the document.
    local told = redis.pcall(PUBLISH, CHANNEL, cjson.encode({
      sessionId = session_id,
      state = document,
      deleted = not document or nil,
      timestamp = tonumber(now),
      keyPrefix = TOLD_PREFIX,
    }))
    failed = type(told) == 'table' and told
  end
  if failed then
    erase()
    if record then redis.call('XDEL', stream, record) end
    return failed
  end
end

