-- What the scripts need to know of a stored document. It is looked at, never written back.

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

