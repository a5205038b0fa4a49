-- Creates a session where none is stored.
--
-- KEYS[1]   the ledger (src/redis/scripts/ledger.lua)
-- KEYS[2]   the session's key
-- KEYS[3]   the audit stream, with an audit
-- ARGV[1]   the request's number (src/redis/scripts/ledger.lua)
-- ARGV[2]   the document
-- ARGV[3]   the time of the call, milliseconds
-- ARGV[4…]  the audit record (announce.lua), with an audit
--
-- Returns 1; -1: created but not audited, the backlog is full; {'exists'}.

if redis.call('EXISTS', KEYS[2]) == 1 then return {'exists'} end
local document, answer, unchanged = ARGV[2], '1', 'XX'
local record_at = 4

