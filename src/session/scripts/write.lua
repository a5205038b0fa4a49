-- Writes a session: compare, splice the version in, SET, PUBLISH; all of it or nothing.
--
-- KEYS[1]  the session's key
-- ARGV[1]  rule: 'create' overwrites, 'absent' wants no session there, 'locked' wants the expected
--          version there, 'any' takes what it finds
-- ARGV[2]  'locked': the expected version; 'any': the version to write where nothing is stored
-- ARGV[3]  TTL, seconds
-- ARGV[4]  the document after its version number
-- ARGV[5]  channel of updates
-- ARGV[6]  the message up to the version number
-- ARGV[7]  the message after it
-- ARGV[8]  this write's own time stamp (ISO), and only when it is repeated after a lost answer
--
-- Returns the version written, or {'missing'}, {'exists'}, {'conflict', stored version},
-- {'corrupt', stored value}, or {'unknown'}: repeated, and what is stored does not tell whether
-- the first try had landed.

local HEAD = '{"version":'
local rule, given, ttl, tail, stamp = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[8]
local key = KEYS[1]

-- A document that an old instance wrote has its version anywhere: decoded to look, never to
-- write back.
local function decode(raw)
  local ok, state = pcall(cjson.decode, raw)
  if ok and type(state) == 'table' then return state end
end

-- The stored version; nil where nothing is stored, false where it is no session document.
local function stored_version()
  -- The largest version has 16 digits: 32 bytes hold it with the head and the comma.
  local head = redis.call('GETRANGE', key, 0, 31)
  local version = tonumber(string.match(head, '^{"version":(%d+),'))
  if not version then
    local raw = redis.call('GET', key)
    if not raw then return nil end
    local state = decode(raw)
    version = state and state.version
    if type(version) ~= 'number' or version < 0 or version % 1 ~= 0 then return false end
  end
  return version <= 9007199254740990 and version
end

local version = 1
if rule == 'locked' or rule == 'any' then
  local stored = stored_version()
  if stored == false then return {'corrupt', redis.call('GET', key)} end
  if stamp ~= '' then
    local raw = redis.call('GET', key)
    if raw and raw == HEAD .. string.format('%.0f', stored) .. tail then return stored end
    if rule == 'locked' then
      if stored ~= tonumber(given) then return {'unknown'} end
    elseif raw then
      local changed = decode(raw).updated_at
      if type(changed) ~= 'string' or #changed ~= #stamp or changed >= stamp then return {'unknown'} end
    end
  end
  if rule == 'locked' then
    if not stored then return {'missing'} end
    if stored ~= tonumber(given) then return {'conflict', stored} end
    version = stored + 1
  else
    version = stored and stored + 1 or tonumber(given)
  end
elseif stamp ~= '' then
  local raw = redis.call('GET', key)
  -- Ours, or ours changed since: a life begins with the stamp of its creation.
  local state = raw and decode(raw)
  local created = state and state.created_at
  if created == stamp then return 1 end
  if rule == 'absent' and type(created) == 'string' and created > stamp then return {'unknown'} end
end

local number = string.format('%.0f', version)
local document = HEAD .. number .. tail
if rule == 'absent' then
  if not redis.call('SET', key, document, 'EX', ttl, 'NX') then return {'exists'} end
else
  redis.call('SET', key, document, 'EX', ttl)
end
redis.call('PUBLISH', ARGV[5], ARGV[6] .. number .. ARGV[7])
return version
