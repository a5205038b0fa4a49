-- Writes a session: compare, splice the version in, SET, note it in the ledger, append the audit's
-- record, PUBLISH; all of it or nothing.
--
-- KEYS[1]  the session's key
-- KEYS[2]  the ledger of the connection
-- KEYS[3]  the audit's stream, where there is an audit
-- ARGV[1]  rule: 'create' overwrites, 'absent' wants no session there, 'locked' wants the expected
--          version there, 'any' takes what it finds
-- ARGV[2]  'locked': the expected version; 'any': the version to write where nothing is stored
-- ARGV[3]  TTL, seconds
-- ARGV[4]  the document after its version number
-- ARGV[5]  channel of updates
-- ARGV[6]  the message up to the version number
-- ARGV[7]  the message after it
-- ARGV[8]  this request's field in the ledger
-- ARGV[9]  its number
-- ARGV[10] 'repeated' after a lost answer, else ''
-- ARGV[11] the ledger's TTL, seconds, where this request renews it, else 0
-- ARGV[12] how many audit records may wait; 0: any number
-- ARGV[13] the record's id
-- ARGV[14] session id
-- ARGV[15] event type
-- ARGV[16] when it was made, milliseconds
--
-- Returns the version written (negative: not audited, as many records wait as may), or {'missing'}, {'exists'}, {'conflict', stored version}, or
-- {'corrupt', stored value}.

-- The top-level members of a document that cjson refuses (half a surrogate pair, a thousand
-- levels) and JSON.parse does not: strings as they are written, numbers.
local function skim(raw)
  local found, depth, at = {}, 0, 1
  while true do
    local from = string.find(raw, '["{}%[%]]', at)
    if not from then return depth == 0 and found or nil end
    local to, byte = from, string.byte(raw, from)
    if byte == 34 then
      repeat
        to = string.find(raw, '["\\]', to + 1)
        if not to then return nil end
        local escaped = string.byte(raw, to) == 92
        if escaped then to = to + 1 end
      until not escaped
      if depth == 1 then
        local name = string.sub(raw, from + 1, to - 1)
        local number = string.match(raw, '^%s*:%s*(-?[%d.eE+-]+)%s*[,}]', to + 1)
        found[name] = tonumber(number) or string.match(raw, '^%s*:%s*"([^"\\]*)"', to + 1)
      end
    elseif byte == 123 or byte == 91 then
      depth = depth + 1
    else
      depth = depth - 1
    end
    at = to + 1
  end
end

-- The members of a document; nil where it is none.
local function look(raw)
  local ok, state = pcall(cjson.decode, raw)
  if ok then return type(state) == 'table' and state or nil end
  return string.find(raw, '^%s*{') and skim(raw) or nil
end

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

local key, rule = KEYS[1], ARGV[1]

if ARGV[10] == 'repeated' then
  local entry = redis.call('HGET', KEYS[2], ARGV[8])
  local landed = entry and string.match(entry, '^' .. ARGV[9] .. ':(%-?%d+)$')
  if landed then return tonumber(landed) end
end

local version = 1
if rule == 'locked' or rule == 'any' then
  local raw = redis.call('GET', key)
  local stored = raw and version_of(raw)
  if raw and not stored then return {'corrupt', raw} end
  if rule == 'any' then
    version = stored and stored + 1 or tonumber(ARGV[2])
  else
    if not stored then return {'missing'} end
    if stored ~= tonumber(ARGV[2]) then return {'conflict', stored} end
    version = stored + 1
  end
elseif rule == 'absent' and redis.call('EXISTS', key) == 1 then
  return {'exists'}
end

local number = string.format('%.0f', version)
local document = '{"version":' .. number .. ARGV[4]
local audited = KEYS[3] and (ARGV[12] == '0' or redis.call('XLEN', KEYS[3]) < tonumber(ARGV[12]))
local answer = KEYS[3] and not audited and -version or version
-- In this order nothing is half done. Where Redis refuses to write (its memory is full), it does
-- so at the first command that writes. Where this user may not append or publish, what came before
-- is undone.
redis.call('HSET', KEYS[2], ARGV[8], ARGV[9] .. ':' .. string.format('%.0f', answer))
if ARGV[11] ~= '0' then redis.call('EXPIRE', KEYS[2], ARGV[11]) end
local record = audited and redis.pcall('XADD', KEYS[3], '*', 'id', ARGV[13], 'session', ARGV[14],
  'event', ARGV[15], 'at', ARGV[16], 'state', document)
local told = type(record) == 'table' and record or
  redis.pcall('PUBLISH', ARGV[5], ARGV[6] .. number .. ARGV[7])
if type(told) == 'table' then
  redis.call('HSET', KEYS[2], ARGV[8], '')
  if type(record) == 'string' then redis.call('XDEL', KEYS[3], record) end
  return told
end
redis.call('SET', key, document, 'EX', ARGV[3])
return answer
