-- Notes that entries wait for another try.
--
-- KEYS[1]  the stream
-- KEYS[2]  the delayed
-- KEYS[3]  the tries
-- ARGV[1]  how long, milliseconds
-- ARGV[2]  'counted' where the try counts against the record, else ''
-- ARGV[3…] the entries
--
-- Returns for each how many tries have counted so far; 0 where another worker has settled it.

-- First a command that a full Redis does not refuse: after it, none of the others is.
redis.call('ZREM', KEYS[2], unpack(ARGV, 3))
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local tries = {}
for i = 3, #ARGV do
  local there = #redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i]) > 0
  if there then redis.call('ZADD', KEYS[2], due, ARGV[i]) end
  local counted = there and ARGV[2] == 'counted'
  tries[#tries + 1] = counted and redis.call('HINCRBY', KEYS[3], ARGV[i], 1) or 0
end
return tries
