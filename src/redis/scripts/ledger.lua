-- The beginning of every script that changes something, and must do so once however often it is
-- sent.
--
-- KEYS[1]  the ledger of the connection: a string of places, one for each request in flight
-- ARGV[1]  where in it this request's place begins
-- ARGV[2]  the request's number
-- ARGV[3]  'repeated' after a lost answer, else ''
-- ARGV[4]  the ledger's TTL, seconds, where this request renews it, else 0
--
-- A repeat that finds that it had landed returns the answer that was lost.

if ARGV[3] == 'repeated' then
  local entry = redis.call('GETRANGE', KEYS[1], ARGV[1], ARGV[1] + 39)
  local landed = string.match(entry, '^' .. ARGV[2] .. ':(%-?%d+);')
  if landed then return tonumber(landed) end
end

local function note(answer)
  redis.call('SETRANGE', KEYS[1], ARGV[1], ARGV[2] .. ':' .. answer .. ';')
  if ARGV[4] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[4]) end
end

local function take_back_note()
  redis.call('SETRANGE', KEYS[1], ARGV[1], ';')
end

