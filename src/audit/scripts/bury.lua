-- Moves an entry to the dead letters.
--
-- KEYS[1]  the stream
-- KEYS[2]  the delayed
-- KEYS[3]  the tries
-- KEYS[4]  the dead letters
-- KEYS[5]  where in them a record is
-- ARGV[1]  the group
-- ARGV[2]  the entry
-- ARGV[3]  the record's id
-- ARGV[4]  the error
-- ARGV[5]  its SQLSTATE, or ''
-- ARGV[6]  how often it was tried
--
-- Returns 1, or 0 where another worker has settled it.

local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
if #found == 0 then return 0 end
-- First a command that a full Redis does not refuse: after it, none of the others is.
redis.call('ZREM', KEYS[2], ARGV[2])
local place = redis.call('XADD', KEYS[4], '*', 'error', ARGV[4], 'sqlstate', ARGV[5],
  'attempts', ARGV[6], unpack(found[1][2]))
local older = redis.call('HGET', KEYS[5], ARGV[3])
if older then redis.call('XDEL', KEYS[4], older) end
redis.call('HSET', KEYS[5], ARGV[3], place)
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
return 1
