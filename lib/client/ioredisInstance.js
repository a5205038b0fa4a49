'use strict'

const {
  addressOf,
  credentials,
  natMapOf,
  nodeOfUrl,
  prefixOf,
  refuse,
  sentinelCredentials,
  tlsOf,
  where,
} = require('./instanceSettings.js')

/** The settings of an instance of ioredis, as ours. @param {any} instance */
function ofIoredis(instance) {
  const { options } = instance
  if (instance.isCluster) return ofIoredisCluster(instance)
  const isSentinel = Boolean(options?.sentinels)
  if (!isSentinel && typeof options?.host !== 'string' && typeof options?.path !== 'string') {
    refuse('options', 'they do not say where the server is')
  }
  if (options.Connector) refuse('Connector', 'this module makes its own connections')
  const { host, port, path, username, password, keyPrefix, tls } = options
  return {
    ...(isSentinel ? sentinelsOfIoredis(options) : where(path, host, port)),
    ...credentials(username, password),
    // The owner may have selected another since.
    db: instance.condition?.select ?? options.db ?? 0,
    tls:
      tls && (!isSentinel || options.enableTLSForSentinelMode)
        ? tlsOf(tls === true ? {} : tls, host)
        : undefined,
    keyPrefix: prefixOf(keyPrefix),
  }
}

/** @param {any} cluster */
function ofIoredisCluster({ startupNodes, options }) {
  const { redisOptions = {}, natMap, useSRVRecords, keyPrefix } = options
  if (useSRVRecords) refuse('useSRVRecords', 'this module looks up names of hosts only')
  if (startupNodes.length === 0) refuse('startupNodes', 'there is none')
  const nodes = startupNodes.map(nodeOf)
  const tls = redisOptions.tls ?? nodes[0].tls
  return {
    nodes: nodes.map(addressOf),
    ...credentials(
      redisOptions.username ?? nodes[0].username,
      redisOptions.password ?? nodes[0].password,
    ),
    tls: tls ? tlsOf(tls === true ? {} : tls, undefined) : undefined,
    natMap: natMapOf('natMap', natMap),
    keyPrefix: prefixOf(keyPrefix ?? redisOptions.keyPrefix),
  }
}

/** A node, as ioredis takes it: a port, a URL, `host:port` or settings. @param {any} node */
function nodeOf(node) {
  if (typeof node === 'string') return nodeOfUrl(node.includes('://') ? node : `redis://${node}`)
  const { host, port, ...settings } = typeof node === 'number' ? { port: node } : node
  return { ...settings, host: host || '127.0.0.1', port: port || 6379 }
}

/** @param {any} options */
function sentinelsOfIoredis({ sentinels, name, role, natMap, sentinelTLS, ...options }) {
  if (role === 'slave') refuse('role', 'this module speaks to the master only')
  return {
    sentinels: sentinels.map(addressOf),
    name,
    ...sentinelCredentials(options.sentinelUsername, options.sentinelPassword),
    sentinelTLS: sentinelTLS ? tlsOf(sentinelTLS, undefined) : undefined,
    natMap: natMapOf('natMap', natMap),
  }
}

module.exports = { ofIoredis }
