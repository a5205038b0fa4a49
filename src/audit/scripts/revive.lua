-- Moves dead letters back to the end of the stream.
--
-- KEYS[1]  the dead letters
-- KEYS[2]  the index of the dead letters: record id -> entry id
-- KEYS[3]  the stream
-- ARGV[1]  'all' or 'these'
-- ARGV[2…] 'all': how many at most, then the entry id of the last letter, or '' for the newest;
--          'these': the records' ids
--
-- Returns {how many were moved, the entry id of the last letter}.

local entry_ids, last = {}, ''
if ARGV[1] == 'all' then
  last = ARGV[3]
  if last == '' then
    local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
    if #newest == 0 then return {0, ''} end
    last = newest[1][1]
  end
  for _, letter in ipairs(redis.call('XRANGE', KEYS[1], '-', last, 'COUNT', ARGV[2])) do
    entry_ids[#entry_ids + 1] = letter[1]
  end
else
  for i = 2, #ARGV do entry_ids[#entry_ids + 1] = redis.call('HGET', KEYS[2], ARGV[i]) or nil end
end

local of_letter = {error = true, sqlstate = true, attempts = true}
local moved = 0
for _, entry_id in ipairs(entry_ids) do
  local letter = redis.call('XRANGE', KEYS[1], entry_id, entry_id)[1]
  if letter then
    local record, id = {}, nil
    for i = 1, #letter[2], 2 do
      local name, value = letter[2][i], letter[2][i + 1]
      if name == 'id' then id = value end
      if not of_letter[name] then
        record[#record + 1] = name
        record[#record + 1] = value
      end
    end
    redis.call('XADD', KEYS[3], '*', unpack(record))
    redis.call('XDEL', KEYS[1], entry_id)
    if id then redis.call('HDEL', KEYS[2], id) end
    moved = moved + 1
  end
end
return {moved, last}
