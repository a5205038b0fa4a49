-- Moves dead letters back to the end of the stream.
--
-- KEYS[1]  the dead letters
-- KEYS[2]  the index of the dead letters: record id -> entry id
-- KEYS[3]  the stream
-- ARGV[1]  'all' or 'these'
-- ARGV[2…] 'all': how many at most, then the entry id of the last letter, or '' for the newest;
--          'these': the records' ids
--
-- Returns {how many were moved, the entry id of the last letter if there are more, else ''}.

local of_letter = {error = true, sqlstate = true, attempts = true}
local moved, bytes = 0, 0

local function move(letter)
  local record, id = {}, nil
  for i = 1, #letter[2], 2 do
    local name, value = letter[2][i], letter[2][i + 1]
    if name == 'id' then id = value end
    if not of_letter[name] then
      record[#record + 1] = name
      record[#record + 1] = value
      bytes = bytes + #value
    end
  end
  redis.call('XADD', KEYS[3], '*', unpack(record))
  redis.call('XDEL', KEYS[1], letter[1])
  if id then redis.call('HDEL', KEYS[2], id) end
  moved = moved + 1
end

if ARGV[1] == 'these' then
  for i = 2, #ARGV do
    local entry_id = redis.call('HGET', KEYS[2], ARGV[i])
    local letter = entry_id and redis.call('XRANGE', KEYS[1], entry_id, entry_id)[1]
    if letter then move(letter) end
  end
  return {moved, ''}
end

local last = ARGV[3]
if last == '' then
  local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
  if #newest == 0 then return {0, ''} end
  last = newest[1][1]
end
-- A script blocks Redis: it moves a limited number of bytes.
while moved < tonumber(ARGV[2]) and bytes < 4194304 do
  local letter = redis.call('XRANGE', KEYS[1], '-', last, 'COUNT', 1)[1]
  if not letter then return {moved, ''} end
  move(letter)
end
return {moved, last}
