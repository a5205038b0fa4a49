-- Reads a page of dead letters, the newest first.
--
-- KEYS[1]  the dead letters
-- ARGV[1]  how many letters to skip
-- ARGV[2]  how many letters to return at most
--
-- Returns a list of {entry id, {field, value, …}}.

local page, skip, wanted, from = {}, tonumber(ARGV[1]), tonumber(ARGV[2]), '+'
while #page < wanted do
  -- In portions, as XREVRANGE returns the skipped letters, too.
  local letters = redis.call('XREVRANGE', KEYS[1], from, '-', 'COUNT', 100)
  if #letters == 0 then break end
  for _, letter in ipairs(letters) do
    if skip > 0 then
      skip = skip - 1
    elseif #page < wanted then
      page[#page + 1] = letter
    end
  end
  from = '(' .. letters[#letters][1]
end
return page
