-- The end of every script that writes a session: announces `document` and stores it.
--
-- KEYS and ARGV are those of the rule (create.lua, absent.lua, locked.lua, any.lua), which has
-- defined `record_at`, and `unchanged`: the option with which SET does nothing (NX where the key
-- exists, else XX).
--
-- Returns `answer`; negative where the record was not appended, because the backlog is full.

local key, stream = KEYS[2], KEYS[3]
if stream and not has_room(stream) then
  stream, answer = nil, '-' .. answer
end
check_right('SET', key, '', unchanged)
local failed = announce(answer, key, document, ARGV[3], stream, record_at)
if failed then return failed end
redis.call('SET', key, document, 'EX', TTL)
return tonumber(answer)
