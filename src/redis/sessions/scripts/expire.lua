-- Tells of the sessions that have expired, and notes the others anew.
--
-- KEYS[1]             the expiries (expiry.lua)
-- KEYS[2…#ARGV + 1]   the keys of sessions
-- KEYS[#ARGV + 2]     the audit stream, with an audit
-- ARGV                for each session the id of the record in case it has expired
--
-- Returns how many had expired and were told, and how many of them have no record, because the backlog
-- is full. An error where Redis refuses: the sessions before the one refused are told.

local expiries, stream = KEYS[1], KEYS[#ARGV + 2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- A write that changes nothing, and that Redis with a full memory accepts: after it, no command is
-- refused for the memory.
redis.call('ZREM', expiries, '')
check_right('ZADD', expiries, 'XX', '0', '')
local told, unaudited = 0, 0
for i, id in ipairs(ARGV) do
  local key = KEYS[i + 1]
  local session_id = string.sub(key, #KEY_PREFIX + 1)
  local left = redis.call('PTTL', key)
  if left == -2 then
    -- Another instance may have told meanwhile.
    if redis.call('ZSCORE', expiries, session_id) then
      local failed, is_unaudited =
        tell_expiry(expiries, stream, session_id, id, string.format('%.0f', now))
      if failed then return failed end
      told = told + 1
      if is_unaudited then unaudited = unaudited + 1 end
    end
  else
    if left == -1 then left = TTL * 1000 end
    redis.call('ZADD', expiries, 'XX', string.format('%.0f', now + left), session_id)
  end
end
return {told, unaudited}
