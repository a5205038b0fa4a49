-- Reads a part of a page of dead letters, the newest first.
--
-- KEYS[1]  the dead letters
-- ARGV[1]  where to begin: '+', or '(' and the entry id of the letter before
-- ARGV[2]  how many letters to skip
-- ARGV[3]  how many letters to return at most
-- ARGV[4]  'ids': each letter without its fields, else ''
-- ARGV[5]  the most bytes of letters to look at, one letter at least
--
-- Returns {the letters, each as {entry id, {field, value, …}}, how many are still to be skipped,
-- where to go on, or '' at the end}.

-- A script blocks Redis, and XREVRANGE returns the skipped letters, too: so one call looks at a
-- limited number of letters and bytes.
local letters, skip, from = {}, tonumber(ARGV[2]), ARGV[1]
local wanted, seen, bytes, most = tonumber(ARGV[3]), 0, 0, tonumber(ARGV[5])
while #letters < wanted and seen < 500 and bytes < most do
  local portion = redis.call('XREVRANGE', KEYS[1], from, '-', 'COUNT', 8)
  if #portion == 0 then return {letters, skip, ''} end
  for _, letter in ipairs(portion) do
    if #letters == wanted then return {letters, skip, from} end
    for _, text in ipairs(letter[2]) do bytes = bytes + #text end
    if ARGV[4] == 'ids' then letter[2] = {} end
    if skip > 0 then skip = skip - 1 else letters[#letters + 1] = letter end
    seen = seen + 1
    from = '(' .. letter[1]
  end
end
return {letters, skip, from}
