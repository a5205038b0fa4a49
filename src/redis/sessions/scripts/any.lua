-- Updates or creates a session, whatever version is stored: the version grows by one.
--
-- KEYS[1]   the ledger (src/redis/scripts/ledger.lua)
-- KEYS[2]   the session's key
-- KEYS[3]   the audit stream, with an audit
-- ARGV[1]   the request's number (src/redis/scripts/ledger.lua)
-- ARGV[2]   the part of the document after its version
-- ARGV[3]   the time of the call, milliseconds
-- ARGV[4]   the version to write where nothing is stored
-- ARGV[5…]  the audit record (announce.lua), with an audit
--
-- Returns the written version; the same, negative: written but not audited, the backlog is full;
-- {'corrupt', the stored value}.

local answer = ARGV[4]
local record_at = 5
local raw = redis.call('GET', KEYS[2])
if raw then
  local stored = version_of(raw)
  if not stored then return {'corrupt', raw} end
  answer = string.format('%.0f', stored + 1)
end
local unchanged = raw and 'NX' or 'XX'
local document = '{"version":' .. answer .. ARGV[2]

