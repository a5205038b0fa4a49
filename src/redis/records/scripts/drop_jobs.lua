-- Deletes jobs of BullMQ that have become records.
--
-- KEYS[1]  the ids of the jobs that are being moved
-- KEYS[2]  the prefix of the keys of the jobs
-- ARGV     the ids of the jobs
--
-- Returns how many there were.

local dropped = 0
for _, job in ipairs(ARGV) do
  dropped = dropped + redis.call('LREM', KEYS[1], 0, job)
  redis.call('DEL', KEYS[2] .. job, KEYS[2] .. job .. ':logs')
end
return dropped
