-- Removes records from the stream that the database has stored, and counts them.
--
-- KEYS[1]  the stream
-- KEYS[2]  the due times of records that wait for a retry
-- KEYS[3]  the counted attempts
-- KEYS[4]  the counter of completed records
-- KEYS[5]  when records were stored last, in milliseconds since the epoch
-- ARGV[1]  the consumer group
-- ARGV[2…] the entry ids
--
-- Returns how many records the stream still holds. Only an entry that was still in the stream
-- counts: a record that two workers have stored counts once.

local entries = {unpack(ARGV, 2)}
redis.call('XACK', KEYS[1], ARGV[1], unpack(entries))
local settled = redis.call('XDEL', KEYS[1], unpack(entries))
redis.call('ZREM', KEYS[2], unpack(entries))
redis.call('HDEL', KEYS[3], unpack(entries))
redis.call('INCRBY', KEYS[4], settled)
if settled > 0 then
  local time = redis.call('TIME')
  redis.call('SET', KEYS[5], time[1] * 1000 + math.floor(time[2] / 1000))
end
return redis.call('XLEN', KEYS[1])
