-- Deletes a session and tells the others, also where there is none.
--
-- KEYS[1]  the session's key
-- ARGV[1]  channel of updates
-- ARGV[2]  the message
-- ARGV[3]  this deletion's own time stamp (ISO), and only when it is repeated after a lost answer
--
-- Returns how many keys were deleted: 0 or 1.

local stamp = ARGV[3]
if stamp ~= '' then
  local raw = redis.call('GET', KEYS[1])
  local state = raw and look(raw)
  local created = state and state.created_at
  -- Made anew since: the first try had landed, and this life is not ours to end.
  if type(created) == 'string' and #created == #stamp and created >= stamp then return 0 end
end

local deleted = redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return deleted
