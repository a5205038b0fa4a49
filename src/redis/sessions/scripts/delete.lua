-- Deletes a session, appends the audit record and publishes the deletion. Publishes it also where
-- there is no session.
--
-- KEYS[1]   the ledger (src/redis/scripts/ledger.lua)
-- KEYS[2]   the session's key
-- KEYS[3]   the audit stream, with an audit
-- ARGV[1]   the request's number (src/redis/scripts/ledger.lua)
-- ARGV[2]   the time of the call, milliseconds
-- ARGV[3…]  the audit record (announce.lua), with an audit
--
-- Returns the number of deleted keys, 0 or 1; -1: deleted but not audited, the backlog is full.

local key, stream = KEYS[2], KEYS[3]
local deleted = redis.call('EXISTS', key)
local answer = deleted
if deleted == 0 then
  stream = nil
elseif stream and not has_room(stream) then
  stream, answer = nil, -1
end
-- A write that changes nothing, and that Redis with a full memory accepts: after it, no command is
-- refused for the memory.
redis.call('EXPIRE', KEYS[1], '900')
-- Where rights cannot be asked for, a key is deleted that does not exist.
check_right('DEL', redis.acl_check_cmd and key or KEYS[1] .. ':none')
local failed = announce(answer, key, nil, ARGV[2], stream, 3)
if failed then return failed end
redis.call('DEL', key)
return answer
