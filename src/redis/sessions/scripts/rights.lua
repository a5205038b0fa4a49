-- Defines `check_right`, which raises the error of Redis where the user may not run a command. It is
-- called before anything has changed. Redis 6.2 cannot be asked for rights: there it runs the command,
-- whose arguments change nothing.

local function check_right(...)
  if not (redis.acl_check_cmd and redis.acl_check_cmd(...)) then redis.call(...) end
end

