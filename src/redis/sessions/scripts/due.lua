-- Returns sessions that it is time to look at, the earliest first.
--
-- KEYS[1]  the expiries (expiry.lua)
-- ARGV[1]  how many at most

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return redis.call('ZRANGEBYSCORE', KEYS[1], '0', now, 'LIMIT', '0', ARGV[1])
