-- Deletes dead letters.
--
-- KEYS[1]  the dead letters
-- KEYS[2]  the index of the dead letters: record id -> entry id
-- ARGV     the records' ids
--
-- Returns how many were deleted.

local removed = 0
for _, id in ipairs(ARGV) do
  local entry_id = redis.call('HGET', KEYS[2], id)
  if entry_id then
    removed = removed + redis.call('XDEL', KEYS[1], entry_id)
    redis.call('HDEL', KEYS[2], id)
  end
end
return removed
