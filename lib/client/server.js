'use strict'

const { authorities } = require('../settings/authorities.js')
const { InvalidStateError } = require('../realm/errors.js')
const { checkInteger, withDefaults } = require('../settings/options.js')
const { pem } = require('../settings/pem.js')
const { MemoryStore, isMemoryUrl, memoryStoreOf } = require('./memoryUrl.js')
const { endpointOf, isHost, natMapOf, refuse } = require('./addresses.js')
const { clusterPartsOf, isClusterUrl } = require('./clusterUrl.js')
const { sentinelsOf } = require('./sentinels.js')
const { isSentinelUrl, sentinelPartsOf } = require('./sentinelUrl.js')
const { partsOf } = require('./serverUrl.js')

const PORT = 6379
const MOST_PARTITIONS = 1024

const SERVER = Object.freeze({
  host: /** @type {string | undefined} */ (undefined),
  port: PORT,
  path: /** @type {string | undefined} */ (undefined),
  username: /** @type {string | undefined} */ (undefined),
  password: /** @type {string | undefined} */ (undefined),
  db: 0,
  tls: /** @type {boolean | TlsOptions | undefined} */ (undefined),
})

/** Of a server that may be a part of a cluster. */
const PARTITIONED = Object.freeze({
  partitions: /** @type {number | undefined} */ (undefined),
})

/** Of a cluster. */
const CLUSTER = Object.freeze({
  nodes: /** @type {unknown} */ (undefined),
  natMap: /** @type {unknown} */ (undefined),
})

/** Of a server that sentinels name. */
const SENTINEL = Object.freeze({
  sentinels: /** @type {unknown} */ (undefined),
  name: /** @type {string | undefined} */ (undefined),
  sentinelUsername: /** @type {string | undefined} */ (undefined),
  sentinelPassword: /** @type {string | undefined} */ (undefined),
  sentinelTLS: /** @type {boolean | TlsOptions | undefined} */ (undefined),
  enableTLSForSentinelMode: true,
  natMap: /** @type {unknown} */ (undefined),
})

const TLS = Object.freeze({
  ca: /** @type {unknown} */ (undefined),
  cert: /** @type {unknown} */ (undefined),
  key: /** @type {unknown} */ (undefined),
  rejectUnauthorized: true,
})

/** @typedef {import('../../config/redis.js').RedisTlsOptions} TlsOptions */

/**
 * The parts of a server, from a URL or from settings.
 *
 * @typedef {object} Parts
 * @property {string} [host]
 * @property {number} [port]
 * @property {string} [path]
 * @property {string} [username]
 * @property {string} [password]
 * @property {number} db
 * @property {object} [tls]
 * @property {ReturnType<typeof sentinelsOf>} [sentinel] who tells where the server is
 * @property {ReturnType<typeof clusterOf>} [cluster] nodes of the cluster that is meant
 * @property {number} [partitions] of a cluster's sessions
 */

/**
 * Where sessions and records are, as the core wants to know it: a store in this process, or a server.
 *
 * @param {unknown} given a URL, a store, or the settings of a server
 */
function placeOf(given) {
  if (given instanceof MemoryStore) return { memory: given }
  if (typeof given === 'string' && isMemoryUrl(given)) return { memory: memoryStoreOf(given) }
  return serverOf(given)
}

/** @param {unknown} given */
function serverOf(given) {
  const { host, path, username, password, ...server } =
    typeof given === 'string' ? ofUrl(given) : ofSettings(given)
  // Errors name the host and the path, and must hold no password: a whole URL is neither.
  if (host !== undefined && !isHost(host)) {
    throw new InvalidStateError('redis.host', 'it is no name of a host, and no address')
  }
  if (path !== undefined && (path === '' || path.includes('://'))) {
    throw new InvalidStateError('redis.path', 'it is no path of a socket')
  }
  return {
    ...SERVER,
    ...server,
    host: host ?? '',
    path,
    username: username || undefined,
    password: password || undefined,
  }
}

/** @param {string} url @returns {Parts} */
function ofUrl(url) {
  if (isClusterUrl(url)) {
    const { nodes, partitions, ...server } = clusterPartsOf(url)
    return { ...server, db: 0, cluster: clusterOf(nodes), partitions: partitionsOf(partitions) }
  }
  if (!isSentinelUrl(url)) {
    const server = partsOf(url)
    return { ...server, partitions: partitionsOf(server.partitions) }
  }
  const { sentinels, name, sentinelUsername, sentinelPassword, sentinelTLS, ...master } =
    sentinelPartsOf(url)
  const given = { sentinels, name, sentinelUsername, sentinelPassword }
  return { ...master, sentinel: sentinelsOf(given, sentinelTLS) }
}

/** @param {unknown} given @returns {Parts} */
function ofSettings(given) {
  if (typeof given !== 'object' || given === null) {
    throw new InvalidStateError('url', 'it is neither a string nor an object')
  }
  const isSentinel = 'sentinels' in given && given.sentinels !== undefined
  const isCluster = !isSentinel && 'nodes' in given && given.nodes !== undefined
  if (!isSentinel) refuseSentinelSettings(given, isCluster)
  const known = { ...SERVER, ...(isSentinel ? SENTINEL : PARTITIONED), ...(isCluster && CLUSTER) }
  const { sentinels, name, sentinelUsername, sentinelPassword, ...settings } = withDefaults(
    /** @type {typeof SERVER & typeof SENTINEL & typeof PARTITIONED & typeof CLUSTER} */ (known),
    given,
    'redis',
  )
  const { sentinelTLS, enableTLSForSentinelMode, natMap, nodes, partitions, ...server } = settings
  for (const name of /** @type {const} */ (['host', 'path', 'username', 'password'])) {
    if (server[name] !== undefined && typeof server[name] !== 'string') {
      throw new InvalidStateError(`redis.${name}`, 'it is not a string')
    }
  }
  checkInteger('redis.port', server.port, 1, 65_535)
  checkInteger('redis.db', server.db, 0, 2 ** 31 - 1)
  const tls = tlsOf('redis.tls', server.tls)
  for (const name of /** @type {const} */ (['host', 'path'])) {
    if (server[name] === undefined) continue
    if (isSentinel) refuse(name, 'sentinels name the server: leave it out')
    if (isCluster) refuse(name, 'nodes are named: leave it out')
  }
  if (isCluster) {
    if (server.db !== 0) refuse('db', 'a cluster has no database but 0')
    const { host, path, port, ...node } = server
    return { ...node, tls, cluster: clusterOf(nodes, natMap), partitions: partitionsOf(partitions) }
  }
  if (isSentinel) {
    if (typeof enableTLSForSentinelMode !== 'boolean') {
      refuse('enableTLSForSentinelMode', 'it is not a boolean')
    }
    const { host, path, port, ...master } = server
    const given = { sentinels, name, sentinelUsername, sentinelPassword, natMap }
    const sentinel = sentinelsOf(given, tlsOf('redis.sentinelTLS', sentinelTLS))
    return { ...master, tls: enableTLSForSentinelMode ? tls : undefined, sentinel }
  }
  // Or else whatever is an object would mean a server on this machine.
  if (server.host === undefined && server.path === undefined) {
    throw new InvalidStateError('redis', 'it says neither host nor path, nor nodes, nor sentinels')
  }
  return { ...server, tls, partitions: partitionsOf(partitions) }
}

/**
 * The nodes of a cluster, as the core wants to know them.
 *
 * @param {unknown} nodes
 * @param {unknown} [natMap]
 */
function clusterOf(nodes, natMap) {
  if (!Array.isArray(nodes) || nodes.length === 0) {
    return refuse('nodes', 'it is not a list of { host, port } with one node at least')
  }
  return {
    nodes: nodes.map((node, at) => endpointOf(`nodes[${at}]`, node, PORT)),
    natMap: natMapOf(natMap),
  }
}

/** @param {number | undefined} partitions */
function partitionsOf(partitions) {
  if (partitions !== undefined) checkInteger('redis.partitions', partitions, 1, MOST_PARTITIONS)
  return partitions
}

/** Of a server that no sentinel names. @param {object} given @param {boolean} isCluster */
function refuseSentinelSettings(given, isCluster) {
  for (const [name, value] of Object.entries(given)) {
    const isKnown = isCluster && Object.hasOwn(CLUSTER, name)
    if (value !== undefined && Object.hasOwn(SENTINEL, name) && !isKnown) {
      refuse(name, 'it counts with sentinels only: set sentinels')
    }
  }
}

/** @param {string} field @param {unknown} given */
function tlsOf(field, given) {
  if (given === undefined || given === false) return undefined
  if (given === true) return { verify: true, others: authorities() }
  if (typeof given !== 'object' || given === null) {
    throw new InvalidStateError(field, 'it is neither a boolean nor an object')
  }
  const { rejectUnauthorized, ...files } = withDefaults(TLS, given, field)
  if (files.cert !== undefined && files.key === undefined) {
    throw new InvalidStateError(`${field}.key`, 'there is a certificate without its key')
  }
  const verify = rejectUnauthorized !== false
  const { ca, cert, key } = files
  return {
    verify,
    ca: pem(`${field}.ca`, ca),
    others: verify && ca === undefined ? authorities() : undefined,
    cert: pem(`${field}.cert`, cert),
    key: pem(`${field}.key`, key),
  }
}

module.exports = { placeOf }
