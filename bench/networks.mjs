// How contenders reach Redis.

import { start } from './processes/start.mjs'

export const PLAIN = 'plain'
export const TLS = 'tls'
export const TLS_DELAYED = 'tls, 0.5 ms each way'
/** Of three masters. */
export const CLUSTER = 'cluster'

/** Of `TLS_DELAYED`. */
const DELAY_MS = 0.5

/**
 * Where Redis is: an ioredis client and this module take these options as they are, where `nodes` are not
 * named. Those are all masters of a cluster.
 *
 * @typedef {{ host: string, port: number, tls?: { ca: string } }
 *   | { nodes: { host: string, port: number }[] }} Address
 */

/**
 * @param {string} network
 * @param {import('./servers.mjs').Servers} servers
 * @param {import('./modes.mjs').Mode} mode
 * @returns {Promise<{ address: Address, close: () => Promise<void> }>}
 */
export async function openNetwork(network, { redis, tls, cluster }, mode) {
  const host = '127.0.0.1'
  if (network === PLAIN) return { address: { host, port: redis.port }, close: async () => {} }
  if (network === CLUSTER) {
    const nodes = cluster.nodes.map(({ host, port }) => ({ host, port }))
    return { address: { nodes }, close: async () => {} }
  }
  const { port, ca } = tls
  if (network === TLS) return { address: { host, port, tls: { ca } }, close: async () => {} }
  const proxy = await start('delay-proxy.mjs', [port, DELAY_MS], mode.servers)
  return { address: { host, port: proxy.told, tls: { ca } }, close: proxy.stop }
}
