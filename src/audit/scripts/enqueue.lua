-- Appends a record to the stream.
--
-- KEYS[1]  the stream
-- KEYS[2]  the ledger of the connection
-- ARGV[1]  how many records may wait; 0: any number
-- ARGV[2]  the record's id
-- ARGV[3]  session id
-- ARGV[4]  event type
-- ARGV[5]  when it was made, milliseconds
-- ARGV[6]  the document, or ''
-- ARGV[7]  this request's field in the ledger
-- ARGV[8]  its number
-- ARGV[9]  'repeated' after a lost answer, else ''
-- ARGV[10] the ledger's TTL, seconds, where this request renews it, else 0
--
-- Returns 1, or 0 where as many wait as may.

if ARGV[9] == 'repeated' then
  local entry = redis.call('HGET', KEYS[2], ARGV[7])
  local landed = entry and string.match(entry, '^' .. ARGV[8] .. ':(%d+)$')
  if landed then return tonumber(landed) end
end

local limit = tonumber(ARGV[1])
if limit > 0 and redis.call('XLEN', KEYS[1]) >= limit then return 0 end

-- First, as in every script here: where Redis refuses to write, nothing has changed.
if ARGV[6] == '' then
  redis.call('XADD', KEYS[1], '*', 'id', ARGV[2], 'session', ARGV[3], 'event', ARGV[4],
    'at', ARGV[5])
else
  redis.call('XADD', KEYS[1], '*', 'id', ARGV[2], 'session', ARGV[3], 'event', ARGV[4],
    'at', ARGV[5], 'state', ARGV[6])
end
redis.call('HSET', KEYS[2], ARGV[7], ARGV[8] .. ':1')
if ARGV[10] ~= '0' then redis.call('EXPIRE', KEYS[2], ARGV[10]) end
return 1
