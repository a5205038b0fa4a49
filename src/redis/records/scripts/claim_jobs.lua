-- Takes jobs of BullMQ that no worker is working on out of BullMQ's hands, in a cluster, where their
-- records are in other slots. They stay until `drop_jobs.lua` deletes them.
--
-- KEYS[1]  the ids of the jobs of one state: a list or a sorted set
-- KEYS[2]  the ids of the jobs that are being moved: a list, the oldest last
-- KEYS[3]  the prefix of the keys of the jobs
-- ARGV     for each job its id, then the id of its record
--
-- Returns for each job 1 if it is to become that record, else 0. A repeat returns the same.

local is_list = redis.call('TYPE', KEYS[1]).ok == 'list'
local claimed = {}
for i = 1, #ARGV, 2 do
  local job, record, removed = ARGV[i], ARGV[i + 1], 0
  if redis.call('HGET', KEYS[3] .. job, 'synckairosRecord') == record then
    removed = 1
  elseif redis.call('EXISTS', KEYS[3] .. job .. ':lock') == 0 then
    -- The first write, as in every script here: if Redis refuses it, nothing has changed.
    redis.call('LPUSH', KEYS[2], job)
    if is_list then removed = redis.call('LREM', KEYS[1], -1, job)
    else removed = redis.call('ZREM', KEYS[1], job) end
    if removed == 0 then redis.call('LREM', KEYS[2], 1, job)
    else redis.call('HSET', KEYS[3] .. job, 'synckairosRecord', record) end
  end
  claimed[#claimed + 1] = removed
end
return claimed
