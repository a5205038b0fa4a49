-- Tells how a queue is doing. Comes after `counts.lua`.
--
-- KEYS[5]  when records were stored last, in milliseconds since the epoch
-- ARGV[2]  how long a worker without claims must have been silent to be left out, in milliseconds
--
-- Returns {the counts, the age of the oldest record, when records were stored last, how long ago that
-- was, the workers}, times in milliseconds, or -1. A worker is its name, its silence and its claims; the
-- list is nil where the user may not know them.

local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local age = oldest and math.max(now - string.match(oldest[1], '^%d+'), 0) or -1
local stored = tonumber(redis.call('GET', KEYS[5]) or -1) or -1
local ago = stored >= 0 and math.max(now - stored, 0) or -1

local workers = {}
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then
  -- Without the stream or its group there are none. Any other refusal hides them.
  local is_missing = string.find(consumers.err, 'NOGROUP') or string.find(consumers.err, 'no such key')
  workers = is_missing and workers or false
else
  for _, consumer in ipairs(consumers) do
    local is = {}
    for i = 1, #consumer, 2 do is[consumer[i]] = consumer[i + 1] end
    if (is.pending > 0 or is.idle < tonumber(ARGV[2])) and #workers < 3000 then
      workers[#workers + 1] = is.name
      workers[#workers + 1] = is.idle
      workers[#workers + 1] = is.pending
    end
  end
end
return {counts, age, stored, ago, workers}
