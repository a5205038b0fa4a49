-- Removes the consumers of processes that have ended long ago. One script checks and removes: to
-- remove a consumer that has claimed an entry would be to lose the entry.
--
-- KEYS[1]  the stream
-- ARGV[1]  the consumer group
-- ARGV[2]  how long a consumer must have been silent, in milliseconds
--
-- Returns how many were removed.

local removed = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local is = {}
  for i = 1, #consumer, 2 do is[consumer[i]] = consumer[i + 1] end
  if is.pending == 0 and is.idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], is.name)
    removed = removed + 1
  end
end
return removed
