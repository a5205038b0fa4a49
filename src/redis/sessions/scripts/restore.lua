-- Writes an earlier state of a session again, as a new version: the one after the stored version, or a
-- given one if that is higher.
--
-- KEYS[1]   the ledger (src/redis/scripts/ledger.lua)
-- KEYS[2]   the session's key
-- KEYS[3]   the audit stream, with an audit
-- ARGV[1]   the request's number (src/redis/scripts/ledger.lua)
-- ARGV[2]   the part of the document after its version
-- ARGV[3]   the time of the call, milliseconds
-- ARGV[4]   the least version to write
-- ARGV[5]   what may be stored: `any`, `none`, or this version
-- ARGV[6…]  the audit record (announce.lua), with an audit
--
-- Returns the written version; the same, negative: written but not audited, the backlog is full;
-- {'exists'}; {'missing'}; {'conflict', the stored version}; {'corrupt', the stored value}.

local answer, over = ARGV[4], ARGV[5]
local record_at = 6
local raw = redis.call('GET', KEYS[2])
local stored = raw and version_of(raw)
if over == 'none' then
  if raw then return {'exists'} end
elseif over ~= 'any' then
  if not raw then return {'missing'} end
  if not stored then return {'corrupt', raw} end
  if stored ~= tonumber(over) then return {'conflict', stored} end
end
if stored and stored >= tonumber(answer) then answer = string.format('%.0f', stored + 1) end
local unchanged = raw and 'NX' or 'XX'
local document = '{"version":' .. answer .. ARGV[2]

