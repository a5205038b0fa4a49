-- Defines `version_of`: the version of a stored document; nil where the value is no document.
--
-- The anchored match is for documents that this module wrote. In a document of an old instance the
-- version can be anywhere.

local function version_of(raw)
  -- The top-level members of a document that cjson refuses (half a surrogate pair, a thousand
  -- levels) and JSON.parse does not: strings as they are written, numbers.
  local function skim()
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

  -- The members of a document; nil where the value is none.
  local function members()
    local ok, state = pcall(cjson.decode, raw)
    if ok then return type(state) == 'table' and state or nil end
    return string.find(raw, '^%s*{') and skim() or nil
  end

  local version = string.sub(raw, -1) == '}' and tonumber(string.match(raw, '^{"version":(%d+),'))
  if not version then
    local state = members()
    version = state and state.version
    if type(version) ~= 'number' or version < 0 or version % 1 ~= 0 then return nil end
  end
  return version < 9007199254740991 and version or nil
end

