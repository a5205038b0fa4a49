'use strict'

// What Redis says of itself: its servers, how they persist and evict, who listens. Each fact that a user may
// not read is null.

const { inPartition, slotOf, tagsOf } = require('./partitions.js')

const CHANNEL = 'session-updates'
/** The number of a cluster's partitions is written down there. */
const PARTITIONS = 'synckairos:partitions'
const CONFIGURATION = [
  'appendonly',
  'appendfsync',
  'save',
  'maxmemory-policy',
  'min-replicas-to-write',
]
/** `CONFIG` may not be called by a script, `INFO` may: with a key of the node it is asked of that node. */
const INFO_SCRIPT = "return redis.call('INFO')"
const LISTENERS_SCRIPT = "return redis.call('PUBSUB', 'SHARDNUMSUB', KEYS[1])"

/**
 * A server, or a master of a cluster.
 *
 * @typedef {object} RedisNode
 * @property {string} address
 * @property {string | null} version
 * @property {string} product `Redis` or `Valkey`
 * @property {string | null} role
 * @property {number | null} replicas how many are connected
 * @property {number | null} replicasInSync of those that `min-replicas-to-write` counts; null without it
 * @property {number | null} usedMemoryBytes
 * @property {number | null} maxMemoryBytes 0: no limit
 * @property {string | null} evictionPolicy
 * @property {number | null} evictedKeys since the server started
 * @property {boolean | null} appendOnly
 * @property {string | null} appendFsync
 * @property {string | null} save when it writes snapshots; empty: never
 * @property {boolean | null} lastSnapshotWorked
 * @property {boolean | null} lastAppendWorked
 * @property {number | null} minReplicasToWrite
 * @property {number | null} uptimeSeconds
 */

/**
 * @typedef {object} RedisFacts
 * @property {string} address
 * @property {'one server' | 'sentinel' | 'cluster'} topology
 * @property {number | null} partitions of a cluster
 * @property {RedisNode[]} nodes
 * @property {number | null} subscribers connections that listen for updates
 * @property {number} roundTripMs
 * @property {number} clockSkewMs how far the clock of Redis is ahead of this machine's
 */

/**
 * @param {import('../command.js').Servers} servers
 * @returns {Promise<RedisFacts>}
 */
async function readRedis(servers) {
  const { client, redisAddress: address } = servers
  await client.ping()
  const clock = await readClock(client)
  const info = fieldsOf(await perhaps(client.call('INFO')))
  const configuration = await readConfiguration(client)
  if (info.get('cluster_enabled') === '1') {
    const partitions = Number((await perhaps(client.get(PARTITIONS))) ?? 64)
    const nodes = await readMasters(client, configuration)
    const subscribers = await readShardListeners(client, partitions)
    return { address, topology: 'cluster', partitions, nodes, subscribers, ...clock }
  }
  const topology = client.options.sentinels ? 'sentinel' : 'one server'
  const counted = await perhaps(client.call('PUBSUB', 'NUMSUB', CHANNEL))
  const subscribers = Array.isArray(counted) ? Number(counted[1]) : null
  const nodes = [nodeOf(address, info, configuration)]
  return { address, topology, partitions: null, nodes, subscribers, ...clock }
}

/** @param {import('../../index.js').RedisClient} client */
async function readClock(client) {
  const began = performance.now()
  const asked = Date.now()
  const told = await perhaps(client.call('TIME'))
  const roundTripMs = performance.now() - began
  const redis = Array.isArray(told) ? Number(told[0]) * 1000 + Number(told[1]) / 1000 : asked
  return { roundTripMs, clockSkewMs: Array.isArray(told) ? redis - (asked + roundTripMs / 2) : 0 }
}

/** @param {import('../../index.js').RedisClient} client */
async function readConfiguration(client) {
  /** @type {Map<string, string>} */
  const read = new Map()
  const asked = CONFIGURATION.map((name) => perhaps(client.call('CONFIG', 'GET', name)))
  for (const pair of await Promise.all(asked)) {
    if (Array.isArray(pair) && pair.length === 2) read.set(String(pair[0]), String(pair[1]))
  }
  return read
}

/**
 * @param {import('../../index.js').RedisClient} client
 * @param {Map<string, string>} configuration
 */
async function readMasters(client, configuration) {
  const text = String((await perhaps(client.call('CLUSTER', 'NODES'))) ?? '')
  const masters = text
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , flags = '', , , , , , ...slots]) => /\bmaster\b/.test(flags) && slots.length > 0)
  return Promise.all(
    masters.map(async ([, address = '', , , , , , , ...slots]) => {
      const key = keyIn(slots)
      const info =
        key === undefined ? null : await perhaps(client.call('EVAL', INFO_SCRIPT, 1, key))
      return nodeOf(address.replace(/@.*$/, ''), fieldsOf(info), configuration)
    }),
  )
}

/** A key in one of these ranges of slots. @param {string[]} ranges as `CLUSTER NODES` writes them */
function keyIn(ranges) {
  const [first, last = first] = (ranges.find((range) => /^\d/.test(range)) ?? '')
    .split('-')
    .map(Number)
  if (first === undefined || last === undefined || Number.isNaN(first)) return undefined
  for (let number = 0; number < 1_000_000; number++) {
    const slot = slotOf(String(number))
    if (slot >= first && slot <= last) return String(number)
  }
  return undefined
}

/**
 * Each manager listens to all partitions: of the partition with the most.
 *
 * @param {import('../../index.js').RedisClient} client
 * @param {number} partitions
 */
async function readShardListeners(client, partitions) {
  const channels = tagsOf(partitions).map((tag) => inPartition(CHANNEL, tag, { between: ':' }))
  const asked = channels.map((channel) =>
    perhaps(client.call('EVAL', LISTENERS_SCRIPT, 1, channel)),
  )
  const counts = (await Promise.all(asked)).map((told) =>
    Array.isArray(told) ? Number(told[1]) : -1,
  )
  const most = Math.max(...counts)
  return most < 0 ? null : most
}

/**
 * @param {string} address
 * @param {Map<string, string>} info
 * @param {Map<string, string>} configuration
 * @returns {RedisNode}
 */
function nodeOf(address, info, configuration) {
  const number = (/** @type {string | undefined} */ text) =>
    text === undefined ? null : Number(text)
  const isOk = (/** @type {string | undefined} */ text) =>
    text === undefined ? null : text === 'ok'
  const aof = info.get('aof_enabled') ?? configuration.get('appendonly')
  return {
    address,
    version: info.get('valkey_version') ?? info.get('redis_version') ?? null,
    product: info.has('valkey_version') ? 'Valkey' : 'Redis',
    role: info.get('role') ?? null,
    replicas: number(info.get('connected_slaves')),
    replicasInSync: number(info.get('min_slaves_good_slaves')),
    usedMemoryBytes: number(info.get('used_memory')),
    maxMemoryBytes: number(info.get('maxmemory')),
    evictionPolicy: info.get('maxmemory_policy') ?? configuration.get('maxmemory-policy') ?? null,
    evictedKeys: number(info.get('evicted_keys')),
    appendOnly: aof === undefined ? null : aof === '1' || aof === 'yes',
    appendFsync: configuration.get('appendfsync') ?? null,
    save: configuration.get('save') ?? null,
    lastSnapshotWorked: isOk(info.get('rdb_last_bgsave_status')),
    lastAppendWorked: isOk(info.get('aof_last_write_status')),
    minReplicasToWrite: number(configuration.get('min-replicas-to-write')),
    uptimeSeconds: number(info.get('uptime_in_seconds')),
  }
}

/** The fields of `INFO`. @param {unknown} text */
function fieldsOf(text) {
  const pairs = [...String(text ?? '').matchAll(/^(\w+):(.*?)\r?$/gm)]
  return new Map(pairs.map(([, name = '', value = '']) => [name, value]))
}

/**
 * Null for what Redis refuses to tell this user, or does not know.
 *
 * @template T
 * @param {Promise<T>} answer
 * @returns {Promise<T | null>}
 */
async function perhaps(answer) {
  try {
    return await answer
  } catch (error) {
    if (/** @type {any} */ (error)?.code === 'REDIS_REPLY') return null
    throw error
  }
}

module.exports = { PARTITIONS, perhaps, readRedis }
