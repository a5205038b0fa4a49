'use strict'

/**
 * How many connections of this module each of these servers has that works, by port.
 *
 * @param {import('./redis.js').RedisServer[]} servers
 * @param {'NORMAL' | 'PUBSUB'} [type] of the connections; default: all
 * @returns {Promise<Map<number, number>>}
 */
async function connectionsTo(servers, type) {
  const working = servers.filter(({ works }) => works)
  const counts = working.map(async (server) => {
    const client = server.client()
    const list = await client.client('LIST', ...(type ? ['TYPE', type] : []))
    client.disconnect()
    const ours = list.split('\n').filter((line) => line.includes('name=synckairos'))
    return [server.port, ours.length]
  })
  return new Map(await Promise.all(counts))
}

const sumOf = (connections) => [...connections.values()].reduce((sum, count) => sum + count, 0)

module.exports = { connectionsTo, sumOf }
