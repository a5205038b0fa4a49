-- Updates a session where the expected version is stored.
--
-- KEYS[1]   the ledger (src/redis/scripts/ledger.lua)
-- KEYS[2]   the session's key
-- KEYS[3]   the audit stream, with an audit
-- ARGV[1]   the request's number (src/redis/scripts/ledger.lua)
-- ARGV[2]   the document, with the version after the expected one
-- ARGV[3]   the time of the call, milliseconds
-- ARGV[4]   the expected version
-- ARGV[5…]  the audit record (announce.lua), with an audit
--
-- Returns 1; -1: updated but not audited, the backlog is full; {'missing'};
-- {'conflict', the stored version}; {'corrupt', the stored value}.

local document, answer, unchanged = ARGV[2], '1', 'NX'
local record_at = 5
-- Both ends of a document that this module wrote say enough. Lua hashes every byte of every string
-- that it receives, so the script does not fetch the rest.
local beginning = '{"version":' .. ARGV[4] .. ','
if redis.call('GETRANGE', KEYS[2], '0', #beginning - 1) ~= beginning
  or redis.call('GETRANGE', KEYS[2], '-1', '-1') ~= '}' then
  local raw = redis.call('GET', KEYS[2])
  if not raw then return {'missing'} end
  local stored = version_of(raw)
  if not stored then return {'corrupt', raw} end
  if stored ~= tonumber(ARGV[4]) then return {'conflict', stored} end
end

