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

local moved = 0
for _, place in ipairs(places) do
  local letter = redis.call('XRANGE', KEYS[1], place, place)[1]
  if letter then
    local fields = letter[2]
    -- The first three pairs are about the death, the rest is the record as it was.
    redis.call('XADD', KEYS[3], '*', unpack(fields, 7))
    redis.call('XDEL', KEYS[1], place)
    for i = 7, #fields, 2 do
      if fields[i] == 'id' then redis.call('HDEL', KEYS[2], fields[i + 1]) end
    end
    moved = moved + 1
  end
end
return {moved, last}
