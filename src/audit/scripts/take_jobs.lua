-- Takes jobs of BullMQ that nobody is working on, as records of ours.
--
-- KEYS[1]  the place where they are: a list or a sorted set
-- KEYS[2]  what the key of each job begins with
-- KEYS[3]  our stream
-- ARGV     for each job: its id, and the record's id, session id, event type, time and document
--
-- Returns how many were taken. One that has left its place meanwhile is with a worker of BullMQ.

local is_list = redis.call('TYPE', KEYS[1]).ok == 'list'
local taken = 0
for i = 1, #ARGV, 6 do
  -- First, as in every script here: where Redis refuses to write, nothing has changed.
  local record = redis.call('XADD', KEYS[3], '*', 'id', ARGV[i + 1], 'session', ARGV[i + 2],
    'event', ARGV[i + 3], 'at', ARGV[i + 4], 'state', ARGV[i + 5])
  local job, removed = ARGV[i], 0
  if is_list then removed = redis.call('LREM', KEYS[1], -1, job)
  else removed = redis.call('ZREM', KEYS[1], job) end
  if removed == 0 then
    redis.call('XDEL', KEYS[3], record)
  else
    redis.call('DEL', KEYS[2] .. job, KEYS[2] .. job .. ':logs')
    taken = taken + 1
  end
end
return taken
