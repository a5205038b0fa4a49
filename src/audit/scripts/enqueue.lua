-- Appends a record to the stream.
--
-- KEYS[2]  the stream
-- ARGV[5]  the most records that the stream may hold; 0: no limit
-- ARGV[6]  the record's id
-- ARGV[7]  the session id
-- ARGV[8]  the event type
-- ARGV[9]  when it was queued, in milliseconds since the epoch
-- ARGV[10] the document, or '' for a deletion
--
-- Returns 1, or 0 if the stream is full.

local limit = tonumber(ARGV[5])
if limit > 0 and redis.call('XLEN', KEYS[2]) >= limit then return 0 end

-- The first write, as in every script here: if Redis refuses it, nothing has changed.
if ARGV[10] == '' then
  redis.call('XADD', KEYS[2], '*', 'id', ARGV[6], 'session', ARGV[7], 'event', ARGV[8],
    'at', ARGV[9])
else
  redis.call('XADD', KEYS[2], '*', 'id', ARGV[6], 'session', ARGV[7], 'event', ARGV[8],
    'at', ARGV[9], 'state', ARGV[10])
end
note(1)
return 1
