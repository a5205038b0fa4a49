'use strict'

const { InvalidStateError } = require('../realm/errors.js')
const { partsOf } = require('./serverUrl.js')

/** Of a socket's settings: what we read, */
const TLS_READ = ['ca', 'cert', 'key', 'rejectUnauthorized']
/** and what is no matter of who is spoken to, or is read elsewhere. */
const SOCKET_IGNORED = ['host', 'port', 'path', 'tls', 'family', 'autoSelectFamily']
SOCKET_IGNORED.push('connectTimeout', 'socketTimeout', 'timeout', 'reconnectStrategy')
SOCKET_IGNORED.push('keepAlive', 'keepAliveInitialDelay', 'noDelay')

/** @param {any} address @returns {{ host: string, port: number | undefined }} */
function addressOf({ host, port }) {
  return { host, port: port == null ? undefined : Number(port) }
}

/** A node of a cluster by its URL. @param {string} url */
function nodeOfUrl(url) {
  const { host, port, username, password, tls } = partsOf(url)
  return { host, port, username, password, tls: tls && true }
}

/** @param {string} setting @param {any} map */
function natMapOf(setting, map) {
  if (typeof map === 'function') refuse(setting, 'it is a function, not an object')
  return map ?? undefined
}

/** @param {string | undefined} path @param {string} host @param {number | string} port */
function where(path, host, port) {
  return path ? { path } : { host, port: Number(port) }
}

/** @param {unknown} username @param {unknown} password */
function credentials(username, password) {
  const text = (/** @type {unknown} */ value) => (value == null ? undefined : String(value))
  return { username: text(username), password: text(password) }
}

/** @param {unknown} username @param {unknown} password */
function sentinelCredentials(username, password) {
  const { username: sentinelUsername, password: sentinelPassword } = credentials(username, password)
  return { sentinelUsername, sentinelPassword }
}

/**
 * @param {any} socket settings of Node's `tls.connect`
 * @param {string | undefined} host
 */
function tlsOf(socket, host) {
  /** @type {Record<string, unknown>} */
  const tls = {}
  for (const [name, value] of Object.entries(socket)) {
    if (value == null || SOCKET_IGNORED.includes(name)) continue
    if (TLS_READ.includes(name)) tls[name] = value
    else if (name === 'servername' && value === host) continue
    else if (name === 'minVersion' && value !== 'TLSv1.3')
      continue // Less than 1.2 is never spoken.
    else refuse(`tls.${name}`, 'this module has no such setting')
  }
  return tls
}

/** @param {unknown} keyPrefix */
function prefixOf(keyPrefix = '') {
  if (typeof keyPrefix !== 'string') refuse('keyPrefix', 'it is not a string')
  return /** @type {string} */ (keyPrefix)
}

/** @param {string} setting @param {string} reason @returns {never} */
function refuse(setting, reason) {
  throw new InvalidStateError(`redis.${setting}`, `this client cannot be honoured: ${reason}`)
}

module.exports = {
  addressOf,
  credentials,
  natMapOf,
  nodeOfUrl,
  prefixOf,
  refuse,
  sentinelCredentials,
  tlsOf,
  where,
}
