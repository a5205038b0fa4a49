'use strict'

// What is wrong with a Redis, by what it says of itself.

const { clockFindings, finding } = require('./finding.js')

const PAGE = 'operations.md#redis'
const FAILOVER = 'guarantees.md'
/** How full Redis may be before it is told. */
const MOST_FULL = 0.8

/**
 * @param {import('../facts/redis.js').RedisFacts} redis
 * @returns {import('./finding.js').Finding[]}
 */
function redisFindings({ nodes, topology, clockSkewMs }) {
  const found = nodes.flatMap((node) => [
    ...versionOf(node, topology),
    ...evictionOf(node),
    ...memoryOf(node),
    ...persistenceOf(node),
    ...replicasOf(node),
  ])
  return [...found, ...clockFindings('Redis', clockSkewMs)]
}

/** @typedef {import('../facts/redis.js').RedisNode} Node */

/** @param {Node} node @param {string} topology */
function versionOf({ address, version, product }, topology) {
  if (version === null) {
    return [finding('unknown', `${address} does not tell its state (INFO)`, 'allow +info', PAGE)]
  }
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const isCluster = topology === 'cluster'
  const [leastMajor, leastMinor] = isCluster ? [7, product === 'Valkey' ? 2 : 0] : [6, 2]
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return []
  return [
    finding(
      'danger',
      `${address} is ${product} ${version}`,
      `use ${leastMajor}.${leastMinor} or later`,
      'runtimes.md#servers',
    ),
  ]
}

/** @param {Node} node */
function evictionOf({ address, evictionPolicy, maxMemoryBytes, evictedKeys }) {
  if (evictionPolicy === null) {
    return [
      finding(
        'unknown',
        `${address} does not tell its maxmemory-policy`,
        "allow +info or '+config|get'",
        PAGE,
      ),
    ]
  }
  if (evictionPolicy === 'noeviction') return []
  const policy = `${address} has maxmemory-policy ${evictionPolicy}`
  const lost = evictedKeys ? `, and has evicted ${evictedKeys} keys` : ''
  const mend = 'CONFIG SET maxmemory-policy noeviction'
  if (!maxMemoryBytes) {
    return [
      finding(
        'warning',
        `${policy}: it will evict records and sessions once maxmemory is set`,
        mend,
        PAGE,
      ),
    ]
  }
  return [
    finding(
      'danger',
      `${policy}: it evicts sessions and records that wait when memory is full${lost}`,
      mend,
      PAGE,
    ),
  ]
}

/** @param {Node} node */
function memoryOf({ address, usedMemoryBytes, maxMemoryBytes }) {
  if (!usedMemoryBytes || !maxMemoryBytes || usedMemoryBytes < MOST_FULL * maxMemoryBytes) return []
  const share = Math.round((100 * usedMemoryBytes) / maxMemoryBytes)
  return [
    finding(
      'warning',
      `${address} uses ${share} % of maxmemory: past it, writes are refused`,
      'raise maxmemory, or set maxBacklog',
      PAGE,
    ),
  ]
}

/** @param {Node} node */
function persistenceOf({
  address,
  appendOnly,
  appendFsync,
  save,
  lastSnapshotWorked,
  lastAppendWorked,
}) {
  const found = []
  if (appendOnly === null) {
    found.push(
      finding(
        'unknown',
        `${address} does not tell whether it persists`,
        "allow +info or '+config|get'",
        PAGE,
      ),
    )
  } else if (!appendOnly) {
    const snapshots = save === '' ? 'nothing' : 'only snapshots'
    const lost =
      save === '' ? 'all sessions and records that wait' : 'what changed since the last one'
    const level = save === '' ? 'danger' : 'warning'
    found.push(
      finding(
        level,
        `${address} persists ${snapshots}: a restart loses ${lost}`,
        'CONFIG SET appendonly yes',
        PAGE,
      ),
    )
  } else if (appendFsync === 'no') {
    found.push(
      finding(
        'warning',
        `${address} has appendfsync no: a crash of the machine loses what the system has not written, often 30 s`,
        'CONFIG SET appendfsync everysec',
        PAGE,
      ),
    )
  }
  if (lastSnapshotWorked === false) {
    found.push(
      finding(
        'danger',
        `${address} could not write its last snapshot: it may refuse all writes (MISCONF)`,
        "look at Redis' log: usually the disk is full, or a directory may not be written",
        'operations.md#when-redis-refuses',
      ),
    )
  }
  if (lastAppendWorked === false) {
    found.push(
      finding(
        'danger',
        `${address} could not write its append-only file: it refuses all writes (MISCONF)`,
        "look at Redis' log: usually the disk is full",
        'operations.md#when-redis-refuses',
      ),
    )
  }
  return found
}

/** @param {Node} node */
function replicasOf({ address, role, replicas, minReplicasToWrite }) {
  if (role !== 'master' || replicas === null) return []
  if (replicas === 0) {
    return [
      finding(
        'warning',
        `${address} has no replica: if its machine is lost, so are sessions and records that wait`,
        'add a replica, with Sentinel or a cluster',
        FAILOVER,
      ),
    ]
  }
  if (minReplicasToWrite !== 0) return []
  return [
    finding(
      'warning',
      `${address} takes writes without any replica in reach (min-replicas-to-write 0): a failover loses them`,
      'CONFIG SET min-replicas-to-write 1, or use the option `replicas`',
      FAILOVER,
    ),
  ]
}

module.exports = { redisFindings }
