-- Defines `version_of`: the version of a stored document; nil where the value is no document.
--
-- The anchored match is for documents that this module wrote. In a document of an old instance the
-- version can be anywhere.

local function version_of(raw)
  -- A name as JSON.parse reads it: it may be written with escapes.
  local function is_version(name)
    if not string.find(name, '\\', 1, true) then return name == 'version' end
    local ok, decoded = pcall(cjson.decode, '["' .. name .. '"]')
    return ok and decoded[1] == 'version'
  end

  -- The version of a document that cjson refuses (half a surrogate pair, a thousand levels) and
  -- JSON.parse does not.
  local function skim()
    local version, depth, at = nil, 0, 1
    while true do
      local from = string.find(raw, '["{}%[%]]', at)
      if not from then return nil end
      local to, byte = from, string.byte(raw, from)
      if byte == 34 then
        repeat
          to = string.find(raw, '["\\]', to + 1)
          if not to then return nil end
          local escaped = string.byte(raw, to) == 92
          if escaped then to = to + 1 end
        until not escaped
        -- A string before a colon is a name, any other is a value.
        local value = depth == 1 and string.match(raw, '^%s*:%s*()', to + 1)
        if value and is_version(string.sub(raw, from + 1, to - 1)) then
          version = tonumber(string.match(raw, '^(-?[%d.eE+-]+)%s*[,}]', value))
        end
      elseif byte == 123 or byte == 91 then
        depth = depth + 1
      else
        depth = depth - 1
        if depth == 0 then return string.find(raw, '^%s*$', to + 1) and version end
      end
      at = to + 1
    end
  end

  local version = string.sub(raw, -1) == '}' and tonumber(string.match(raw, '^{"version":(%d+),'))
  if not version then
    local ok, state = pcall(cjson.decode, raw)
    if ok then
      version = type(state) == 'table' and state.version
    else
      version = string.find(raw, '^%s*{') and skim()
    end
    if type(version) ~= 'number' or version < 0 or version % 1 ~= 0 then return nil end
  end
  return version < 9007199254740991 and version or nil
end

