-- The beginning of every script that must change something only once, however often it is sent. It
-- recognises a repeat of a request that has landed, and defines `note` and `erase`.
--
-- KEYS[1]  the client's ledger: a string of PLACES places, each WIDTH bytes long
-- ARGV[1]  the request's number. A `+` after it: the request renews the ledger's TTL. A `?` after
--          it: the answer of an earlier try was lost, look whether that try has landed; this also
--          renews the TTL
--
-- Returns the lost answer where an earlier try has landed.

local number, flag = ARGV[1], nil
local place = tonumber(number)
if not place then
  number, flag = string.match(number, '^(%d+)([+?])$')
  place = tonumber(number)
end
place = place % PLACES * WIDTH

if flag == '?' then
  local entry = redis.call('GETRANGE', KEYS[1], place, place + WIDTH - 1)
  local landed = string.match(entry, '^' .. number .. ':(%-?%d+);')
  if landed then
    -- WAIT waits until replicas have what its own connection has written: this, then.
    local renewed = redis.pcall('EXPIRE', KEYS[1], '900')
    return type(renewed) == 'table' and renewed or tonumber(landed)
  end
end

-- Undoes `note`.
local function erase()
  redis.call('SETRANGE', KEYS[1], place, ';')
end

-- Returns nothing, or the error where Redis refuses and nothing was noted.
local function note(answer)
  local entry = number .. ':' .. answer .. ';'
  local length = redis.call('SETRANGE', KEYS[1], place, entry)
  -- A new ledger ends with this entry, and gets its TTL in any case: the request that was to renew
  -- it may have noted nothing. The TTL is longer than any deadline.
  if flag or length == place + #entry then
    local renewed = redis.pcall('EXPIRE', KEYS[1], '900')
    if type(renewed) == 'table' then
      erase()
      return renewed
    end
  end
end

