-- Moves jobs of BullMQ that no worker is working on to the stream, as records.
--
-- KEYS[1]  the ids of the jobs of one state: a list or a sorted set
-- KEYS[2]  the prefix of the keys of the jobs
-- KEYS[3]  the stream
-- ARGV     for each job its id, then the record: id, session id, event type, time, document
--
-- Returns how many were moved. A worker of BullMQ has a job that has left KEYS[1] or was locked
-- meanwhile. The lock of a worker that was killed runs out.

local is_list = redis.call('TYPE', KEYS[1]).ok == 'list'
local taken = 0
for i = 1, #ARGV, 6 do
  local job, removed = ARGV[i], 0
  if redis.call('EXISTS', KEYS[2] .. job .. ':lock') == 0 then
    -- The first write, as in every script here: if Redis refuses it, nothing has changed.
    local record = redis.call('XADD', KEYS[3], '*', 'id', ARGV[i + 1], 'session', ARGV[i + 2],
      'event', ARGV[i + 3], 'at', ARGV[i + 4], 'state', ARGV[i + 5])
    if is_list then removed = redis.call('LREM', KEYS[1], -1, job)
    else removed = redis.call('ZREM', KEYS[1], job) end
    if removed == 0 then
      redis.call('XDEL', KEYS[3], record)
    else
      redis.call('DEL', KEYS[2] .. job, KEYS[2] .. job .. ':logs')
      taken = taken + 1
    end
  end
end
return taken
