-- Counts the records of a queue by state, over all instances. What is asked besides comes after it.
--
-- KEYS[1]  the stream
-- KEYS[2]  the due times of records that wait for a retry
-- KEYS[3]  the dead letters
-- KEYS[4]  the counter of completed records
-- ARGV[1]  the consumer group
--
-- `counts` is {waiting, active, completed, failed, delayed}, `now` the time in milliseconds.

local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
local claimed = pending.err and 0 or pending[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local delayed = math.min(redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf'), claimed)
local counts = {
  math.max(redis.call('XLEN', KEYS[1]) - claimed, 0),
  claimed - delayed,
  tonumber(redis.call('GET', KEYS[4]) or 0),
  redis.call('XLEN', KEYS[3]),
  delayed,
}
