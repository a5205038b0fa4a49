-- Throws dead letters away.
--
-- KEYS[1]  the dead letters
-- KEYS[2]  where in them a record is
-- ARGV     the records' ids
--
-- Returns how many there were.

local removed = 0
for _, id in ipairs(ARGV) do
  local place = redis.call('HGET', KEYS[2], id)
  if place then
    removed = removed + redis.call('XDEL', KEYS[1], place)
    redis.call('HDEL', KEYS[2], id)
  end
end
return removed
