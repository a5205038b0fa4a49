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

/** What was read of a pool, whose connections may all be in use the next time. @type {WeakMap<object, any>} */
const pools = new WeakMap()

/** The settings of an instance of node-redis, as ours. @param {any} instance */
function ofNodeRedis(instance) {
  if ('slots' in instance) return ofNodeRedisCluster(instance)
  const given = optionsOf(instance)
  const isSentinel = given.sentinelRootNodes !== undefined
  const { keyPrefix, nodeClientOptions = {} } = given
  const options = isSentinel ? nodeClientOptions : given
  const { socket = {}, username, password, database } = options
  refuseProvider(options)
  const { host = isSentinel ? undefined : 'localhost', port = 6379, path } = socket
  return {
    ...(isSentinel ? sentinelsOfNodeRedis(given) : where(path, host, port)),
    ...credentials(username, password),
    db: database ?? 0,
    tls: socket.tls ? tlsOf(socket, host) : undefined,
    keyPrefix: prefixOf(keyPrefix),
  }
}

/** @param {any} options */
function sentinelsOfNodeRedis({ sentinelRootNodes, name, sentinelClientOptions = {}, ...options }) {
  refuseProvider(sentinelClientOptions)
  const { username, password, socket = {} } = sentinelClientOptions
  return {
    sentinels: sentinelRootNodes.map(addressOf),
    name,
    ...sentinelCredentials(username, password),
    sentinelTLS: socket.tls ? tlsOf(socket, undefined) : undefined,
    natMap: natMapOf('nodeAddressMap', options.nodeAddressMap),
  }
}

/** @param {any} instance a client, a pool, or one of sentinels */
function optionsOf(instance) {
  if (typeof instance.getSentinelNode === 'function') {
    const reason =
      'node-redis before version 6 does not tell its settings: pass { sentinels, name } or a redis-sentinel:// URL'
    return optionsOfDuplicate(instance, 'sentinelRootNodes', reason)
  }
  if ('idleClients' in instance) return optionsOfPool(instance)
  const { options } = instance
  if (!('isReady' in instance) || typeof options !== 'object' || options === null) {
    refuse('options', 'they do not say where the server is')
  }
  return options
}

/** @param {any} instance */
function ofNodeRedisCluster(instance) {
  const reason =
    'node-redis before version 5 does not tell its settings: pass { nodes } or a redis-cluster:// URL'
  const options = optionsOfDuplicate(instance, 'rootNodes', reason)
  const { rootNodes, defaults = {}, nodeAddressMap, keyPrefix } = options
  refuseProvider(defaults)
  const nodes = rootNodes.map(rootNodeOf)
  const { username, password, tls, socket } = { ...nodes[0], ...defaults }
  const isTls = defaults.socket?.tls ?? tls
  return {
    nodes: nodes.map(addressOf),
    ...credentials(username, password),
    tls: isTls ? tlsOf(socket ?? {}, undefined) : undefined,
    natMap: natMapOf('nodeAddressMap', nodeAddressMap),
    keyPrefix: prefixOf(keyPrefix),
  }
}

/** A node, as node-redis takes it: by its URL or its socket. @param {any} node */
function rootNodeOf({ url, socket = {}, ...settings }) {
  if (url !== undefined) return { ...settings, ...nodeOfUrl(url) }
  const { host = 'localhost', port = 6379, tls } = socket
  return { ...settings, socket, host, port, tls }
}

/**
 * It keeps its settings to itself, and gives them to a duplicate: here to one that is none.
 *
 * @param {any} instance
 * @param {string} setting
 * @param {string} reason why they cannot be had, if it does not
 */
function optionsOfDuplicate(instance, setting, reason) {
  /** @type {unknown} */
  let options
  class Duplicate {
    /** @param {unknown} given */
    constructor(given) {
      options = given
    }
  }
  const original = Object.assign(Object.create(Duplicate.prototype), { _self: instance._self })
  try {
    instance.duplicate?.call(original)
  } catch {
    // An older one looks for its settings where nothing but itself can have them.
  }
  if (typeof options !== 'object' || options === null) refuse(setting, reason)
  return /** @type {any} */ (options)
}

/**
 * It keeps its settings to itself; its connections have them.
 *
 * @param {any} pool
 */
function optionsOfPool(pool) {
  const known = pools.get(pool)
  if (known !== undefined) return known
  /** @type {any} */
  let options
  if (pool.idleClients > 0) {
    const read = pool.execute((/** @type {any} */ client) => {
      options = { ...client.options, keyPrefix: pool._keyPrefix }
    })
    read.catch(() => {})
  }
  if (options === undefined) {
    refuse('pool', 'its settings are those of an idle connection: connect the pool first')
  }
  pools.set(pool, options)
  return options
}

/** @param {any} options */
function refuseProvider({ credentialsProvider, username, password }) {
  if (credentialsProvider && !username && !password) {
    refuse('credentialsProvider', 'this module needs the user name and the password themselves')
  }
}

module.exports = { ofNodeRedis }
