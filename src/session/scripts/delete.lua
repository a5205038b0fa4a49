-- Deletes a session and tells the others, also where there is none.
--
-- KEYS[1]  the session's key
-- KEYS[2]  the ledger of the connection
-- ARGV[1]  channel of updates
-- ARGV[2]  the message
-- ARGV[3]  this request's field in the ledger
-- ARGV[4]  its number
-- ARGV[5]  'repeated' after a lost answer, else ''
-- ARGV[6]  the ledger's TTL, seconds, where this request renews it, else 0
--
-- Returns how many keys were deleted: 0 or 1.

if ARGV[5] == 'repeated' then
  local entry = redis.call('HGET', KEYS[2], ARGV[3])
  local landed = entry and string.match(entry, '^' .. ARGV[4] .. ':(%d+)$')
  if landed then return tonumber(landed) end
end

-- Told first: where this user may not publish, nothing has changed.
redis.call('PUBLISH', ARGV[1], ARGV[2])
local deleted = redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4] .. ':' .. deleted)
if ARGV[6] ~= '0' then redis.call('EXPIRE', KEYS[2], ARGV[6]) end
return deleted
