-- Marks records as waiting for a retry.
--
-- KEYS[1]  the stream
-- KEYS[2]  the due times of records that wait for a retry
-- KEYS[3]  the counted attempts
-- ARGV[1]  the delay in milliseconds
-- ARGV[2]  'counted' if the attempt counts against the record, else ''
-- ARGV[3…] the entry ids
--
-- Returns the number of counted attempts of each record; 0 if another worker has settled it.

-- Starts with a command that Redis does not refuse when its memory is full: after it, Redis
-- refuses none of the others.
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
