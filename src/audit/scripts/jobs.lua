-- Looks at jobs of BullMQ, the oldest first.
--
-- KEYS[1]  the place where they are: a list (the oldest at its end) or a sorted set
-- KEYS[2]  what the key of each job begins with
-- ARGV[1]  how many to pass over
-- ARGV[2]  how many to look at
--
-- Returns for each {its id, its data, its name, when it was added}.

local skip, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local ids = {}
if redis.call('TYPE', KEYS[1]).ok == 'list' then
  local page = redis.call('LRANGE', KEYS[1], -(skip + count), -(skip + 1))
  for i = #page, 1, -1 do ids[#ids + 1] = page[i] end
else
  ids = redis.call('ZRANGE', KEYS[1], skip, skip + count - 1)
end
local jobs = {}
for i, id in ipairs(ids) do
  local job = redis.call('HMGET', KEYS[2] .. id, 'data', 'name', 'timestamp')
  jobs[i] = {id, job[1] or '', job[2] or '', job[3] or ''}
end
return jobs
