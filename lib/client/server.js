'use strict'

const { authorities } = require('../settings/authorities.js')
const { InvalidStateError } = require('../realm/errors.js')
const { checkInteger, withDefaults } = require('../settings/options.js')
const { pem } = require('../settings/pem.js')
const { MemoryStore, isMemoryUrl, memoryStoreOf } = require('./memoryUrl.js')
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

const TLS = Object.freeze({
  ca: /** @type {unknown} */ (undefined),
  cert: /** @type {unknown} */ (undefined),
  key: /** @type {unknown} */ (undefined),
  rejectUnauthorized: true,
})

/** @typedef {import('../../config/redis.js').RedisTlsOptions} TlsOptions */

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
    typeof given === 'string' ? partsOf(given) : ofSettings(given)
  // Errors name the host and the path, and must hold no password: a whole URL is neither.
  if (host !== undefined && !/^[^\s/@?#]+$/.test(host)) {
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

/** @param {unknown} given */
function ofSettings(given) {
  if (typeof given !== 'object' || given === null) {
    throw new InvalidStateError('url', 'it is neither a string nor an object')
  }
  const server = withDefaults(SERVER, given, 'redis')
  for (const name of /** @type {const} */ (['host', 'path', 'username', 'password'])) {
    if (server[name] !== undefined && typeof server[name] !== 'string') {
      throw new InvalidStateError(`redis.${name}`, 'it is not a string')
    }
  }
  checkInteger('redis.port', server.port, 1, 65_535)
  checkInteger('redis.db', server.db, 0, 2 ** 31 - 1)
  const tls = tlsOf(server.tls)
  // Or else whatever is an object would mean a server on this machine.
  if (server.host === undefined && server.path === undefined) {
    throw new InvalidStateError('redis', 'it says neither host nor path')
  }
  return { ...server, tls }
}

/** @param {unknown} given */
function tlsOf(given) {
  if (given === undefined || given === false) return undefined
  if (given === true) return { verify: true, others: authorities() }
  if (typeof given !== 'object' || given === null) {
    throw new InvalidStateError('redis.tls', 'it is neither a boolean nor an object')
  }
  const { rejectUnauthorized, ...files } = withDefaults(TLS, given, 'redis.tls')
  if (files.cert !== undefined && files.key === undefined) {
    throw new InvalidStateError('redis.tls.key', 'there is a certificate without its key')
  }
  const verify = rejectUnauthorized !== false
  const { ca, cert, key } = files
  return {
    verify,
    ca: pem('redis.tls.ca', ca),
    others: verify && ca === undefined ? authorities() : undefined,
    cert: pem('redis.tls.cert', cert),
    key: pem('redis.tls.key', key),
  }
}

module.exports = { placeOf }
