'use strict'

const { createRedisClient } = require('../../index.js')

/**
 * A client through a proxy, whose connection stands, and what became of that connection.
 *
 * @param {import('./proxy.js').TcpProxy} proxy
 * @param {object} [options] of the client
 */
async function watchedClient(proxy, options) {
  const client = createRedisClient(proxy.url, options)
  let reconnections = 0
  client.on('reconnecting', () => reconnections++)
  await client.ping()
  return {
    client,
    /** How often it lost its connection. */
    get reconnections() {
      return reconnections
    },
  }
}

module.exports = { watchedClient }
