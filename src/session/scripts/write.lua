-- Writes a session: compare, splice the version in, SET, note it in the ledger, append the audit's
-- record, PUBLISH; all of it or nothing.
--
-- KEYS[2]  the session's key
-- KEYS[3]  the audit's stream, where there is an audit
-- ARGV[2]  the version to write; with 'any': where nothing is stored
-- ARGV[3]  the document; with 'any': what follows its version
-- ARGV[4]  'locked': how the stored document begins
-- ARGV[5]  session id
-- ARGV[6]  when it was called, milliseconds
-- ARGV[7]  the record's id, where there is an audit
-- ARGV[8]  rule: 'create' overwrites, 'absent' wants no session there, 'locked' wants the expected
--          version there, 'any' takes what it finds
-- ARGV[9]  TTL, seconds
-- ARGV[10] channel of updates
-- ARGV[11] the key prefix, where the message has to name it, else ''
-- ARGV[12] how many audit records may wait; 0: any number
-- ARGV[13] event type
--
-- Returns the version written (negative: not audited, as many records wait as may), or {'missing'},
-- {'exists'}, {'conflict', stored version}, or {'corrupt', stored value}.

local key, rule, version, document = KEYS[2], ARGV[8], ARGV[2], ARGV[3]
local raw
if rule == 'locked' then
  -- The two ends say it all, if we wrote it. Lua hashes every byte of every string that it gets:
  -- what is not fetched is not hashed.
  if redis.call('GETRANGE', key, 0, #ARGV[4] - 1) ~= ARGV[4]
    or redis.call('GETRANGE', key, -1, -1) ~= '}' then
    raw = redis.call('GET', key)
    if not raw then return {'missing'} end
  end
elseif rule == 'any' then
  raw = redis.call('GET', key)
elseif rule == 'absent' and redis.call('EXISTS', key) == 1 then
  return {'exists'}
end

if raw then
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

  local stored = version_of(raw)
  if not stored then return {'corrupt', raw} end
  if rule == 'any' then
    version = string.format('%.0f', stored + 1)
  elseif stored + 1 ~= tonumber(version) then
    return {'conflict', stored}
  end
end
if rule == 'any' then document = '{"version":' .. version .. document end

local stream = KEYS[3]
local audited = stream and (ARGV[12] == '0' or redis.call('XLEN', stream) < tonumber(ARGV[12]))
local answer = stream and not audited and '-' .. version or version
-- In this order nothing is half done. Where Redis refuses to write (its memory is full), it does
-- so at the first command that writes. Where this user may not append or publish, what came before
-- is undone.
note(answer)
local record = audited and redis.pcall('XADD', stream, '*', 'id', ARGV[7], 'session', ARGV[5],
  'event', ARGV[13], 'at', ARGV[6], 'state', document)
local told = record
if type(record) ~= 'table' then
  -- The document is a string here, which is safe with cjson; only what it means would not be.
  local message = {sessionId = ARGV[5], state = document, timestamp = tonumber(ARGV[6])}
  if ARGV[11] ~= '' then message.keyPrefix = ARGV[11] end
  told = redis.pcall('PUBLISH', ARGV[10], cjson.encode(message))
end
if type(told) == 'table' then
  take_back_note()
  if type(record) == 'string' then redis.call('XDEL', stream, record) end
  return told
end
redis.call('SET', key, document, 'EX', ARGV[9])
return tonumber(answer)
