'use strict'

const { Buffer } = require('node:buffer')
const { authorities } = require('./authorities.js')
const { InvalidStateError } = require('./errors.js')
const { checkInteger, withDefaults } = require('./options.js')

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

/** What is no matter of which sessions are meant, or is ours to decide; ioredis reads it in a URL. */
const QUERY_IGNORED = ['family', 'connectTimeout', 'keepAlive', 'noDelay', 'lazyConnect']
QUERY_IGNORED.push('enableReadyCheck', 'enableOfflineQueue', 'maxRetriesPerRequest')
QUERY_IGNORED.push('connectionName', 'showFriendlyErrorStack', 'autoResubscribe')

/** @typedef {import('..').RedisTlsOptions} TlsOptions */

/**
 * Where a server is, as the core wants to know it: a URL, or the parts of one.
 *
 * @param {unknown} given
 */
function serverOf(given) {
  if (typeof given === 'string') return ofUrl(given)
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
  return { ...server, host: server.host ?? '', username: server.username || undefined, tls }
}

/**
 * What a URL of Redis says besides what the core reads in it. The core refuses what is none.
 *
 * @param {string} text
 */
function ofUrl(text) {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'redis:' && url?.protocol !== 'rediss:') return text
  for (const name of url.searchParams.keys()) {
    if (name === 'db' || QUERY_IGNORED.includes(name)) continue
    throw new InvalidStateError(
      'url',
      `its query sets ${name}, which is to be set by an option here`,
    )
  }
  // As ioredis reads it, the path counts.
  const db = url.searchParams.get('db')
  if (db !== null && url.pathname.length <= 1) url.pathname = `/${db}`
  url.search = ''
  if (url.protocol === 'redis:' || url.hostname === '' || url.hash !== '') return url.href
  const number = Number(url.pathname.slice(1))
  checkInteger('url', number, 0, 2 ** 31 - 1)
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || 6379),
    username: decoded(url.username) || undefined,
    password: decoded(url.password) || undefined,
    db: number,
    tls: { verify: true, others: authorities() },
  }
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new InvalidStateError('url', 'its user name or password has a % that begins no character')
  }
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

/**
 * One text in PEM, also of several; undefined where there is none.
 *
 * @param {string} field
 * @param {unknown} file
 */
function pem(field, file) {
  if (file === undefined) return undefined
  const texts = [file].flat().map((one) => {
    const text = one instanceof Uint8Array ? Buffer.from(one).toString() : one
    if (typeof text !== 'string' || !text.includes('-----BEGIN ')) {
      throw new InvalidStateError(field, 'it is not in PEM')
    }
    return text
  })
  return texts.join('\n')
}

module.exports = { serverOf }
