-- A page of the dead letters, newest first.
--
-- KEYS[1]  the dead letters
-- ARGV[1]  how many to skip
-- ARGV[2]  how many to return at most
--
-- Returns a list of {place, {field, value, …}}.

local skip = tonumber(ARGV[1])
local letters = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', skip + ARGV[2]) or {}
local page = {}
for i = skip + 1, #letters do page[#page + 1] = letters[i] end
return page
