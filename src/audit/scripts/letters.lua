-- A page of the dead letters, newest first.
--
-- KEYS[1]  the dead letters
-- ARGV[1]  how many to skip
-- ARGV[2]  how many to return at most
--
-- Returns a list of {place, {field, value, …}}.

local letters = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1] + ARGV[2])
return {unpack(letters, ARGV[1] + 1)}
