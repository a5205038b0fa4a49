-- Tells which workers of a cluster are alive.
--
-- KEYS[1]  the workers: a sorted set, by until when each is alive
--
-- Returns the name of each, and for how many milliseconds more it is; nil where the user may not know.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local workers = redis.pcall('ZRANGE', KEYS[1], 0, 999, 'WITHSCORES')
if workers.err then return false end
for i = 2, #workers, 2 do workers[i] = workers[i] - now end
return workers
