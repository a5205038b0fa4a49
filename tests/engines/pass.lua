-- Lets time pass, as far as a queue and some sessions go.
--
-- KEYS[1]  the stream
-- KEYS[2]  the due times of records that wait for a retry
-- KEYS[3]  the times at which to look whether sessions have expired
-- KEYS[4…] the keys of sessions
-- ARGV[1]  how much time, milliseconds
-- ARGV[2]  the consumer group

local time = tonumber(ARGV[1])
for i = 4, #KEYS do
  local left = redis.call('PTTL', KEYS[i])
  if left >= 0 then
    if left <= time then redis.call('DEL', KEYS[i]) else redis.call('PEXPIRE', KEYS[i], left - time) end
  end
end
for i = 2, 3 do
  for _, entry in ipairs(redis.call('ZRANGE', KEYS[i], 0, -1)) do
    redis.call('ZINCRBY', KEYS[i], -time, entry)
  end
end
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[2], '-', '+', 10000)
if not pending.err then
  for _, claim in ipairs(pending) do
    redis.call('XCLAIM', KEYS[1], ARGV[2], claim[2], 0, claim[1], 'IDLE', claim[3] + time, 'JUSTID')
  end
end
