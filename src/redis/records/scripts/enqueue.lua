-- Appends a record to the stream.
--
-- KEYS[1]  the ledger (src/redis/scripts/ledger.lua)
-- KEYS[2]  the stream
-- ARGV[1]  the request's number in the ledger
-- ARGV[2]  the most records that the stream may hold; 0: no limit
-- ARGV[3]  the record's id
-- ARGV[4]  the session id
-- ARGV[5]  the event type
-- ARGV[6]  when it was queued, in milliseconds since the epoch
-- ARGV[7]  the document, or '' for a deletion
-- ARGV[8…] perhaps the name and the value of another field of the record
--
-- Returns 1, or 0 if the stream is full.

local limit = tonumber(ARGV[2])
if limit > 0 and redis.call('XLEN', KEYS[2]) >= limit then return 0 end

-- Redis with a full memory refuses the first command that writes, which is the note. Where the user
-- may not append, the note is erased: nothing has changed.
local failed = note(1)
if failed then return failed end
local record
if ARGV[7] == '' then
  record = redis.pcall('XADD', KEYS[2], '*', 'id', ARGV[3], 'session', ARGV[4], 'event', ARGV[5],
    'at', ARGV[6], unpack(ARGV, 8))
else
  record = redis.pcall('XADD', KEYS[2], '*', 'id', ARGV[3], 'session', ARGV[4], 'event', ARGV[5],
    'at', ARGV[6], 'state', ARGV[7], unpack(ARGV, 8))
end
if type(record) == 'table' then
  erase()
  return record
end
return 1
