-- Moves a record from the stream to the dead letters.
--
-- KEYS[1]  the stream
-- KEYS[2]  the due times of records that wait for a retry
-- KEYS[3]  the counted attempts
-- KEYS[4]  the dead letters
-- KEYS[5]  the index of the dead letters: record id -> entry id
-- ARGV[1]  the consumer group
-- ARGV[2]  the entry id
-- ARGV[3]  the record's id
-- ARGV[4]  the error message
-- ARGV[5]  its SQLSTATE, or ''
-- ARGV[6]  the number of attempts
--
-- Returns 1, or 0 if another worker has settled the record.

local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
if #found == 0 then return 0 end
-- Starts with a command that Redis does not refuse when its memory is full: after it, Redis
-- refuses none of the others.
redis.call('ZREM', KEYS[2], ARGV[2])
local record = found[1][2]
-- The record keeps its position when it is revived: where it was queued first.
local has_position = false
for i = 1, #record, 2 do has_position = has_position or record[i] == 'position' end
if not has_position then
  record[#record + 1] = 'position'
  record[#record + 1] = ARGV[2]
end
local place = redis.call('XADD', KEYS[4], '*', 'error', ARGV[4], 'sqlstate', ARGV[5],
  'attempts', ARGV[6], unpack(record))
local older = redis.call('HGET', KEYS[5], ARGV[3])
if older then redis.call('XDEL', KEYS[4], older) end
redis.call('HSET', KEYS[5], ARGV[3], place)
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
return 1
