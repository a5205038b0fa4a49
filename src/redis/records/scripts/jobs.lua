-- Reads a page of jobs of BullMQ, the oldest first.
--
-- KEYS[1]  the ids of the jobs of one state: a list (the oldest last) or a sorted set
-- KEYS[2]  the prefix of the keys of the jobs
-- ARGV[1]  how many jobs to skip
-- ARGV[2]  how many jobs to return at most
--
-- Returns {the jobs, each as {id, data, name, time of its creation, 1 if a worker has locked it, else
-- 0, the id of the record that it is to become, or ''}, 1 if there may be more, else 0}.

local skip, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local ids = {}
if redis.call('TYPE', KEYS[1]).ok == 'list' then
  local page = redis.call('LRANGE', KEYS[1], -(skip + count), -(skip + 1))
  for i = #page, 1, -1 do ids[#ids + 1] = page[i] end
else
  ids = redis.call('ZRANGE', KEYS[1], skip, skip + count - 1)
end
local jobs, bytes = {}, 0
for i, id in ipairs(ids) do
  -- A script blocks Redis: it reads a limited number of bytes.
  if bytes > 4194304 then break end
  local job = redis.call('HMGET', KEYS[2] .. id, 'data', 'name', 'timestamp',
    'synckairosRecord')
  local locked = redis.call('EXISTS', KEYS[2] .. id .. ':lock')
  jobs[i] = {id, job[1] or '', job[2] or '', job[3] or '', locked, job[4] or ''}
  bytes = bytes + #(job[1] or '')
end
return {jobs, (#jobs == count or #jobs < #ids) and 1 or 0}
