import { RedisServer } from '../__test__/harness/redis.js'
import { createRedisClient } from '../index.js'

/** What the audit keeps in Redis for a queue. */
const OF_A_QUEUE = ['stream', 'delayed', 'tries', 'dead', 'index', 'completed']

/**
 * The Redis that the demo plays on: the one of `REDIS_URL`, or a private one that `stop()` ends.
 * In someone else's Redis the demo's name is in every key and channel, and `stop()` deletes the
 * keys; but for the ledgers of the connections, which expire.
 *
 * @param {string} name
 * @param {string} sessionId
 */
export async function startRedis(name, sessionId) {
  const given = process.env.REDIS_URL
  if (!given) {
    const server = await RedisServer.start()
    return {
      url: server.url,
      description: `a private redis-server on port ${server.port}, stopped at the end`,
      options: {},
      stop: () => server.stop(),
    }
  }
  const prefix = `synckairos:${name}:`
  const options = {
    keyPrefix: `${prefix}session:`,
    updatesChannel: `${prefix}updates`,
    wsChannelPrefix: `${prefix}ws:`,
  }
  const keys = [options.keyPrefix + sessionId]
  for (const what of OF_A_QUEUE) keys.push(`synckairos:audit:{${name}}:${what}`)
  const client = createRedisClient(given, { commandTimeoutMs: 3000 })
  try {
    await client.ping()
  } catch (error) {
    client.disconnect()
    throw new Error(`no Redis answers at REDIS_URL (${error.message})`)
  }
  return {
    url: given,
    description: `the server of REDIS_URL; keys with ${name} in their name are deleted at the end`,
    options,
    stop: () => client.call('DEL', ...keys).finally(() => client.quit()),
  }
}
