-- Makes `announce` note each session that is written in the expiries (expiry.lua), and take it out when
-- it is deleted. Where the session has expired before the change and nobody has told, it tells first.
--
-- KEYS[#KEYS]  the expiries. No other part knows of them, so their key is taken away.

local expiries = table.remove(KEYS)

-- The id of the record before that of the change (`earlier_id` in src/operation/record.rs).
local function earlier_id(id)
  local half = math.floor(tonumber(string.sub(id, -12), 16) / 2)
  return string.sub(id, 1, -13) .. string.format('%012x', half)
end

local announce_change = announce
local function announce(answer, key, document, now, stream, record_at)
  local session_id = string.sub(key, #KEY_PREFIX + 1)
  local noted = redis.call('ZSCORE', expiries, session_id)
  if noted and redis.call('EXISTS', key) == 0 then
    local id = KEYS[3] and earlier_id(ARGV[record_at])
    local failed = tell_expiry(expiries, KEYS[3], session_id, id, now)
    if failed then return failed end
    noted = nil
  end
  -- Noted for too late is a session whose TTL was longer before.
  local notes = document and not (noted and tonumber(noted) <= now + TTL * 1000)
  local forgets = noted and not document
  local ends
  if notes then
    check_right('ZADD', expiries, 'XX', '0', '')
    local time = redis.call('TIME') -- Not `now`: the clock of an instance may be wrong.
    ends = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + TTL * 1000)
  end
  if forgets then check_right('ZREM', expiries, '') end
  local failed = announce_change(answer, key, document, now, stream, record_at)
  if failed then return failed end
  if notes then redis.call('ZADD', expiries, ends, session_id) end
  if forgets then redis.call('ZREM', expiries, session_id) end
end

