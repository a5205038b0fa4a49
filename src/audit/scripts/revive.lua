-- Moves dead letters back to the end of the stream.
--
-- KEYS[1]  the dead letters
-- KEYS[2]  where in them a record is
-- KEYS[3]  the stream
-- ARGV[1]  'all' or 'these'
-- ARGV[2…] 'all': how many at most, then the last letter to move, or '' for the newest;
--          'these': the records' ids
--
-- Returns {how many were moved, the last letter to move}.

local places, last = {}, ''
if ARGV[1] == 'all' then
  last = ARGV[3]
  if last == '' then
    local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
    if #newest == 0 then return {0, ''} end
    last = newest[1][1]
  end
  for _, letter in ipairs(redis.call('XRANGE', KEYS[1], '-', last, 'COUNT', ARGV[2])) do
    places[#places + 1] = letter[1]
  end
else
  for i = 2, #ARGV do places[#places + 1] = redis.call('HGET', KEYS[2], ARGV[i]) or nil end
end

local about_death = {error = true, sqlstate = true, attempts = true}
local moved = 0
for _, place in ipairs(places) do
  local letter = redis.call('XRANGE', KEYS[1], place, place)[1]
  if letter then
    local record, id = {}, nil
    for i = 1, #letter[2], 2 do
      local name, value = letter[2][i], letter[2][i + 1]
      if name == 'id' then id = value end
      if not about_death[name] then
        record[#record + 1] = name
        record[#record + 1] = value
      end
    end
    redis.call('XADD', KEYS[3], '*', unpack(record))
    redis.call('XDEL', KEYS[1], place)
    if id then redis.call('HDEL', KEYS[2], id) end
    moved = moved + 1
  end
end
return {moved, last}
