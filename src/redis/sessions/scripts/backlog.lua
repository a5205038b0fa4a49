-- Defines `has_room`: whether a change gets a record; false where the backlog is full.

local function has_room(stream)
  return BACKLOG_LIMIT == 0 or redis.call('XLEN', stream) < BACKLOG_LIMIT
end

