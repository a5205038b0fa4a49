'use strict'

// Which commands, keys and channels the user of the URL may use, without running any of them.

const { perhaps } = require('./redis.js')

/** Redis 7 and Valkey: asks the ACL of the user that calls the script. */
const SCRIPT = `
if not redis.acl_check_cmd then return nil end
local refused = {}
for _, line in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(line, '%S+') do words[#words + 1] = word end
  local ok, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if ok and not allowed then refused[#refused + 1] = line end
end
return refused`

/**
 * What managers and queues send, by what needs it.
 *
 * @param {import('../command.js').Settings} settings
 */
function needed({ keyPrefix, queueName }) {
  const session = `${keyPrefix}synckairos-doctor`
  const audit = (/** @type {string} */ part) => `synckairos:audit:{${queueName}}:${part}`
  return {
    sessions: [
      `GET ${session}`,
      `MGET ${session}`,
      `GETRANGE ${session} 0 1`,
      `SET ${session} x`,
      `SETRANGE ${session} 0 x`,
      `DEL ${session}`,
      `EXISTS ${session}`,
      `EXPIRE ${session} 1`,
      'EVALSHA x 0',
      'PUBLISH session-updates x',
      'PUBLISH ws:x x',
      'SUBSCRIBE session-updates',
      'PSUBSCRIBE ws:*',
      'UNSUBSCRIBE',
      'PUNSUBSCRIBE',
      'PING',
    ],
    'safe repeats after a lost connection': [
      'CLIENT SETNAME x',
      'CLIENT ID',
      'CLIENT LIST',
      'CLIENT KILL ID 1',
    ],
    'the audit': [
      `XADD ${audit('stream')} * a b`,
      `XLEN ${audit('stream')}`,
      `XDEL ${audit('stream')} 0-1`,
      `XRANGE ${audit('dead')} - +`,
      `XREVRANGE ${audit('dead')} + -`,
      `XGROUP CREATE ${audit('stream')} g 0`,
      `XREADGROUP GROUP g c STREAMS ${audit('stream')} >`,
      `XACK ${audit('stream')} g 0-1`,
      `XCLAIM ${audit('stream')} g c 0 0-1`,
      `XAUTOCLAIM ${audit('stream')} g c 0 0`,
      `XPENDING ${audit('stream')} g`,
      `XINFO GROUPS ${audit('stream')}`,
      `ZADD ${audit('delayed')} 1 x`,
      `ZREM ${audit('delayed')} x`,
      `ZCOUNT ${audit('delayed')} 0 1`,
      `HGET ${audit('index')} x`,
      `HSET ${audit('index')} x y`,
      `HDEL ${audit('index')} x`,
      `HMGET ${audit('index')} x`,
      `HINCRBY ${audit('tries')} x 1`,
      `INCRBY ${audit('completed')} 1`,
      'TIME',
    ],
  }
}

/**
 * What this user may not do, by what needs it. Null if Redis cannot tell: before 7.0.
 *
 * @param {import('../../index.js').RedisClient} client
 * @param {import('../command.js').Settings} settings
 * @returns {Promise<{ missing: Record<string, string[]> } | null>}
 */
async function readRights(client, settings) {
  const wanted = Object.entries(needed(settings))
  const lines = wanted.flatMap(([, commands]) => commands)
  const refused = await perhaps(client.call('EVAL', SCRIPT, 0, lines))
  if (!Array.isArray(refused)) return null
  const missing = wanted.map(([purpose, commands]) => [
    purpose,
    commands.filter((command) => refused.includes(command)),
  ])
  return {
    missing: Object.fromEntries(missing.filter(([, commands]) => (commands?.length ?? 0) > 0)),
  }
}

module.exports = { readRights }
