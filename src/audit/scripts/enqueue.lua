-- Appends a record to the stream.
--
-- KEYS[2]  the stream
-- ARGV[5]  how many records may wait; 0: any number
-- ARGV[6]  the record's id
-- ARGV[7]  session id
-- ARGV[8]  event type
-- ARGV[9]  when it was made, milliseconds
-- ARGV[10] the document, or ''
--
-- Returns 1, or 0 where as many wait as may.

local limit = tonumber(ARGV[5])
if limit > 0 and redis.call('XLEN', KEYS[2]) >= limit then return 0 end

-- First, as in every script here: where Redis refuses to write, nothing has changed.
if ARGV[10] == '' then
  redis.call('XADD', KEYS[2], '*', 'id', ARGV[6], 'session', ARGV[7], 'event', ARGV[8],
    'at', ARGV[9])
else
  redis.call('XADD', KEYS[2], '*', 'id', ARGV[6], 'session', ARGV[7], 'event', ARGV[8],
    'at', ARGV[9], 'state', ARGV[10])
end
note(1)
return 1
