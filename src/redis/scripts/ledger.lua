-- The beginning of every script that changes something, and must do so once however often it is
-- sent.
--
-- KEYS[1]  the ledger of the connection: a string of places, one for each request in flight
-- ARGV[1]  where in it this request's place begins
-- ARGV[2]  the request's number
-- ARGV[3]  'repeated' after a lost answer, else ''
-- ARGV[4]  'renew' where this request renews the ledger's TTL, else ''
--
-- A repeat that finds that it had landed returns the answer that was lost.

if ARGV[3] == 'repeated' then
  local entry = redis.call('GETRANGE', KEYS[1], ARGV[1], ARGV[1] + 39)
  local landed = string.match(entry, '^' .. ARGV[2] .. ':(%-?%d+);')
  if landed then return tonumber(landed) end
end

local function note(answer)
  local entry = ARGV[2] .. ':' .. answer .. ';'
  local length = redis.call('SETRANGE', KEYS[1], ARGV[1], entry)
  -- One that is new ends with this entry. It gets its TTL in any case: of a request that was to
  -- renew it nothing may have been noted. Longer than any deadline.
  if ARGV[4] == 'renew' or length == ARGV[1] + #entry then redis.call('EXPIRE', KEYS[1], 900) end
end

local function take_back_note()
  redis.call('SETRANGE', KEYS[1], ARGV[1], ';')
end

