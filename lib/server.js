'use strict'

const { InvalidStateError } = require('./errors.js')

const SERVER = Object.freeze({
  host: /** @type {string | undefined} */ (undefined),
  port: 6379,
  path: /** @type {string | undefined} */ (undefined),
  username: /** @type {string | undefined} */ (undefined),
  password: /** @type {string | undefined} */ (undefined),
  db: 0,
  tls: /** @type {boolean | TlsOptions | undefined} */ (undefined),
})

/** @typedef {import('..').RedisTlsOptions} TlsOptions */

/**
 * Where a server is, as the core wants to know it: a URL, or the parts of one.
 *
 * @param {unknown} given
 */
function serverOf(given) {
  if (typeof given === 'string') return given
  if (typeof given !== 'object' || given === null) {
    throw new InvalidStateError('url', 'it is neither a string nor an object')
  }
  const server = { ...SERVER, ...known(SERVER, given, 'redis') }
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
  return { ...server, host: server.host ?? '', username: server.username || undefined, tls }
}

/** @param {unknown} given */
function tlsOf(given) {
  if (given === undefined || given === false) return undefined
  if (given === true) return { verify: true }
  if (typeof given !== 'object' || given === null) {
    throw new InvalidStateError('redis.tls', 'it is neither a boolean nor an object')
  }
  const names = { ca: 1, cert: 1, key: 1, rejectUnauthorized: 1 }
  const { rejectUnauthorized, ...files } = known(names, given, 'redis.tls')
  if (files.cert !== undefined && files.key === undefined) {
    throw new InvalidStateError('redis.tls.key', 'there is a certificate without its key')
  }
  const texts = Object.entries(files).map(([name, file]) => [name, pem(`redis.tls.${name}`, file)])
  return { verify: rejectUnauthorized !== false, ...Object.fromEntries(texts) }
}

/**
 * One text in PEM, also of several.
 *
 * @param {string} field
 * @param {unknown} file
 */
function pem(field, file) {
  const texts = [file].flat().map((one) => {
    const text = one instanceof Uint8Array ? Buffer.from(one).toString() : one
    if (typeof text !== 'string' || !text.includes('-----BEGIN ')) {
      throw new InvalidStateError(field, 'it is not in PEM')
    }
    return text
  })
  return texts.join('\n')
}

/**
 * What is given, without what is undefined; an unknown name is refused.
 *
 * @param {object} names
 * @param {any} given
 * @param {string} where
 */
function known(names, given, where) {
  const set = Object.entries(given).filter(([, value]) => value !== undefined)
  for (const [name] of set) {
    if (!Object.hasOwn(names, name)) {
      throw new InvalidStateError(`${where}.${name}`, 'there is no such option')
    }
  }
  return Object.fromEntries(set)
}

/** @param {string} field @param {unknown} value @param {number} min @param {number} max */
function checkInteger(field, value, min, max) {
  if (!Number.isInteger(value) || Number(value) < min || Number(value) > max) {
    throw new InvalidStateError(field, `it is not an integer from ${min} to ${max}`)
  }
}

module.exports = { serverOf }
