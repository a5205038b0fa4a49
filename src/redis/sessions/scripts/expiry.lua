-- Defines `tell_expiry`, which ends the life of a session that has expired: appends the audit record,
-- publishes that the session is gone, and takes it out of the expiries, so that nobody tells it again.
-- All of it or nothing, in the order of announce.lua.
--
-- `expiries`  the key of a sorted set: which sessions are to be told of when they expire, each by the time
--             at which to look at it, milliseconds by Redis' clock
-- `stream`    the audit stream; nil: there is no audit
-- `id`        of the audit record
-- `at`        the time of the record, milliseconds
--
-- Returns the error where Redis refuses and nothing has happened; or nil, and whether the record is
-- missing, because the backlog is full.

local function tell_expiry(expiries, stream, session_id, id, at)
  check_right('ZREM', expiries, '')
  local record
  local is_audited = stream and has_room(stream)
  if is_audited then
    check_right('XDEL', stream, '0-0')
    record = redis.pcall('XADD', stream, '*', 'id', id, 'session', session_id,
      'event', 'session_expired', 'at', at)
    if type(record) == 'table' then return record end
  end
  local told = redis.pcall(PUBLISH, CHANNEL, cjson.encode({
    sessionId = session_id,
    deleted = true,
    timestamp = tonumber(at),
    keyPrefix = TOLD_PREFIX,
  }))
  if type(told) == 'table' then
    if record then redis.call('XDEL', stream, record) end
    return told
  end
  redis.call('ZREM', expiries, session_id)
  return nil, stream and not is_audited
end

