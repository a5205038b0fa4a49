import { randomBytes } from 'node:crypto'
import { RedisServer } from '../__test__/harness/redis.js'
import { createRedisClient } from '../index.mjs'

/**
 * The Redis that the demo plays on: the one of `REDIS_URL`, or a private one that `stop()` ends.
 * In someone else's Redis every key and channel has a random prefix, and `stop()` looks after them.
 */
export async function startServer() {
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
  const prefix = `synckairos-demo-${randomBytes(4).toString('hex')}:`
  const options = {
    keyPrefix: `${prefix}session:`,
    updatesChannel: `${prefix}updates`,
    wsChannelPrefix: `${prefix}ws:`,
  }
  const client = createRedisClient(given, { commandTimeoutMs: 3000 })
  try {
    await client.ping()
  } catch (error) {
    client.disconnect()
    throw new Error(`no Redis answers at REDIS_URL (${error.message})`)
  }
  return {
    url: given,
    description: `the server of REDIS_URL; all keys and channels begin with ${prefix}`,
    options,
    /** @param {string} sessionId */
    stop: async (sessionId) => {
      await client.call('DEL', options.keyPrefix + sessionId).catch(() => {})
      await client.quit()
    },
  }
}
