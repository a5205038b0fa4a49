'use strict'

const { authorities } = require('../settings/authorities.js')
const { InvalidStateError } = require('../realm/errors.js')
const { checkInteger, withDefaults } = require('../settings/options.js')
const { pem } = require('../settings/pem.js')
const { MemoryStore, isMemoryUrl, memoryStoreOf } = require('./memoryUrl.js')
const { isHost, sentinelsOf } = require('./sentinels.js')
const { isSentinelUrl, sentinelPartsOf } = require('./sentinelUrl.js')
const { partsOf } = require('./serverUrl.js')

const SERVER = Object.freeze({
  host: /** @type {string | undefined} */ (undefined),
  port: 6379,
  path: /** @type {string | undefined} */ (undefined),
  username: /** @type {string | undefined} */ (undefined),
  password: /** @type {string | undefined} */ (undefined),
  db: 0,
  tls: /** @type {boolean | TlsOptions | undefined} */ (undefined),
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
  if (!isSentinelUrl(url)) return partsOf(url)
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
  if (!isSentinel) refuseSentinelSettings(given)
  const known = { ...SERVER, ...SENTINEL }
  const { sentinels, name, sentinelUsername, sentinelPassword, ...settings } = withDefaults(
    known,
    given,
    'redis',
  )
  const { sentinelTLS, enableTLSForSentinelMode, natMap, ...server } = settings
  for (const name of /** @type {const} */ (['host', 'path', 'username', 'password'])) {
    if (server[name] !== undefined && typeof server[name] !== 'string') {
      throw new InvalidStateError(`redis.${name}`, 'it is not a string')
    }
  }
  checkInteger('redis.port', server.port, 1, 65_535)
  checkInteger('redis.db', server.db, 0, 2 ** 31 - 1)
  const tls = tlsOf('redis.tls', server.tls)
  if (isSentinel) {
    if (typeof enableTLSForSentinelMode !== 'boolean') {
      throw new InvalidStateError('redis.enableTLSForSentinelMode', 'it is not a boolean')
    }
    for (const name of /** @type {const} */ (['host', 'path'])) {
      if (server[name] !== undefined) {
        throw new InvalidStateError(`redis.${name}`, 'sentinels name the server: leave it out')
      }
    }
    const { host, path, port, ...master } = server
    const given = { sentinels, name, sentinelUsername, sentinelPassword, natMap }
    const sentinel = sentinelsOf(given, tlsOf('redis.sentinelTLS', sentinelTLS))
    return { ...master, tls: enableTLSForSentinelMode ? tls : undefined, sentinel }
  }
  // Or else whatever is an object would mean a server on this machine.
  if (server.host === undefined && server.path === undefined) {
    throw new InvalidStateError('redis', 'it says neither host nor path, nor sentinels')
  }
  return { ...server, tls }
}

/** Of a server that no sentinel names. @param {object} given */
function refuseSentinelSettings(given) {
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined && Object.hasOwn(SENTINEL, name)) {
      throw new InvalidStateError(`redis.${name}`, 'it counts with sentinels only: set sentinels')
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
