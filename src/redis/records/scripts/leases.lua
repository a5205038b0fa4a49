-- Announces a worker, gives up and takes partitions for it, and tells who reads which.
--
-- KEYS[1]  the workers: a sorted set, by until when each is alive
-- KEYS[2]  the leases: a hash, partition -> worker
-- ARGV[1]  the worker
-- ARGV[2]  for how long it is alive, in milliseconds; 0: it leaves, and gives up all
-- ARGV[3…] partitions: '+3' to take the lease of partition 3 if nobody alive has it, '-3' to give it up
--
-- Returns {the number of workers, the partitions that this one has, those that others have}.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Starts with a command that Redis does not refuse when its memory is full: after it, Redis
-- refuses none of the others.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local me, leaves = ARGV[1], ARGV[2] == '0'
if leaves then redis.call('ZREM', KEYS[1], me)
else redis.call('ZADD', KEYS[1], now + ARGV[2], me) end
local workers, alive = redis.call('ZRANGE', KEYS[1], 0, -1), {}
for _, worker in ipairs(workers) do alive[worker] = true end

local all, leases = redis.call('HGETALL', KEYS[2]), {}
for i = 1, #all, 2 do
  if alive[all[i + 1]] then leases[all[i]] = all[i + 1]
  elseif leaves and all[i + 1] == me then redis.call('HDEL', KEYS[2], all[i]) end
end
for i = 3, #ARGV do
  local partition = string.sub(ARGV[i], 2)
  if string.sub(ARGV[i], 1, 1) == '+' then
    if not leases[partition] then
      redis.call('HSET', KEYS[2], partition, me)
      leases[partition] = me
    end
  elseif leases[partition] == me then
    redis.call('HDEL', KEYS[2], partition)
    leases[partition] = nil
  end
end
redis.call('EXPIRE', KEYS[1], 3600)
redis.call('EXPIRE', KEYS[2], 3600)

local mine, others = {}, {}
for partition, worker in pairs(leases) do
  local list = worker == me and mine or others
  list[#list + 1] = tonumber(partition)
end
return {#workers, mine, others}
