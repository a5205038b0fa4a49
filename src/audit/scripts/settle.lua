-- Takes out of the stream what is in PostgreSQL.
--
-- KEYS[1]  the stream
-- KEYS[2]  the delayed
-- KEYS[3]  the tries
-- KEYS[4]  the counter of completed records
-- ARGV[1]  the group
-- ARGV[2…] the entries
--
-- Returns how many records are left, waiting or in hand. Counted is what was still there: an entry
-- that two workers have stored counts once.

local entries = {unpack(ARGV, 2)}
redis.call('XACK', KEYS[1], ARGV[1], unpack(entries))
local settled = redis.call('XDEL', KEYS[1], unpack(entries))
redis.call('ZREM', KEYS[2], unpack(entries))
redis.call('HDEL', KEYS[3], unpack(entries))
redis.call('INCRBY', KEYS[4], settled)
return redis.call('XLEN', KEYS[1])
