-- Forgets consumers of processes that have ended long ago. In one script with the look at what
-- they hold: to forget a consumer that holds an entry would be to lose it.
--
-- KEYS[1]  the stream
-- ARGV[1]  the group
-- ARGV[2]  for how long they must have been silent, milliseconds
--
-- Returns how many.

local forgotten = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local is = {}
  for i = 1, #consumer, 2 do is[consumer[i]] = consumer[i + 1] end
  if is.pending == 0 and is.idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], is.name)
    forgotten = forgotten + 1
  end
end
return forgotten
