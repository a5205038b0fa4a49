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
local key, rule, given, tail, stamp = KEYS[1], ARGV[1], ARGV[2], ARGV[4], ARGV[8]
local repeated = stamp ~= ''

-- The version of a stored document; nil where it is none. The anchored match is for what we
-- write; a document of an old instance has its version anywhere.
local function version_of(raw)
  local version = string.sub(raw, -1) == '}' and tonumber(string.match(raw, '^{"version":(%d+),'))
  if not version then
    local state = look(raw)
    version = state and state.version
    if type(version) ~= 'number' or version < 0 or version % 1 ~= 0 then return nil end
  end
  return version < 9007199254740991 and version or nil
end

local version = 1
if rule == 'locked' or rule == 'any' then
  local raw = redis.call('GET', key)
  local stored = raw and version_of(raw)
  if raw and not stored then return {'corrupt', raw} end
  if repeated then
    if raw and raw == HEAD .. string.format('%.0f', stored) .. tail then return stored end
    if rule == 'locked' then
      if stored ~= tonumber(given) then return {'unknown'} end
    elseif raw then
      local changed = look(raw).updated_at
      local before = type(changed) == 'string' and #changed == #stamp and changed < stamp
      if not before then return {'unknown'} end
    end
  end
  if rule == 'locked' then
    if not stored then return {'missing'} end
    if stored ~= tonumber(given) then return {'conflict', stored} end
    version = stored + 1
  else
    version = stored and stored + 1 or tonumber(given)
  end
elseif repeated then
  local raw = redis.call('GET', key)
  -- Ours, or ours changed since: a life begins with the stamp of its creation.
  local state = raw and look(raw)
  local created = state and state.created_at
  if created == stamp then return 1 end
  if rule == 'absent' and type(created) == 'string' and created > stamp then return {'unknown'} end
end

local number = string.format('%.0f', version)
local document = HEAD .. number .. tail
if rule == 'absent' then
  if not redis.call('SET', key, document, 'EX', ARGV[3], 'NX') then return {'exists'} end
else
  redis.call('SET', key, document, 'EX', ARGV[3])
end
redis.call('PUBLISH', ARGV[5], ARGV[6] .. number .. ARGV[7])
return version
