'use strict'

const {
  NO_CLUSTER,
  addressOf,
  credentials,
  natMapOf,
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
  if ('slots' in instance) refuse('rootNodes', NO_CLUSTER)
  if (typeof instance.getSentinelNode === 'function') return optionsOfSentinel(instance)
  if ('idleClients' in instance) return optionsOfPool(instance)
  const { options } = instance
  if (!('isReady' in instance) || typeof options !== 'object' || options === null) {
    refuse('options', 'they do not say where the server is')
  }
  return options
}

/**
 * It keeps its settings to itself, and gives them to a duplicate: here to one that is none.
 *
 * @param {any} instance
 */
function optionsOfSentinel(instance) {
  /** @type {unknown} */
  let options
  class Duplicate {
    /** @param {unknown} given */
    constructor(given) {
      options = given
    }
  }
  const original = Object.assign(Object.create(Duplicate.prototype), { _self: instance._self })
  instance.duplicate?.call(original)
  if (typeof options !== 'object' || options === null) {
    const reason =
      'node-redis before version 6 does not tell its settings: pass { sentinels, name } or a redis-sentinel:// URL'
    refuse('sentinelRootNodes', reason)
  }
  return options
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
