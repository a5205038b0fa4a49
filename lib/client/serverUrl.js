'use strict'

const { authorities } = require('../settings/authorities.js')
const { InvalidStateError } = require('../realm/errors.js')

/** What protocols of a URL mean: a socket of TCP, one with TLS, or one of Unix. */
const TCP = ['redis:', 'valkey:']
const TLS = ['rediss:', 'valkeys:']
const UNIX = ['unix:', 'redis+unix:', 'valkey+unix:']

const EXPECTED =
  'expected redis://user:***@host:6379/0, rediss:// for TLS, unix:///path?db=0, redis-sentinel://host:26379,host:26379/master/0, redis-cluster://host:6379,host:6379, or memory:, with special characters of the user name and the password percent-encoded'

/** What ioredis reads in a query and is no matter here: of no effect on which sessions are meant, or ours to decide. */
const IGNORED = ['family', 'connectTimeout', 'keepAlive', 'noDelay', 'lazyConnect']
IGNORED.push('enableReadyCheck', 'enableOfflineQueue', 'maxRetriesPerRequest')
IGNORED.push('connectionName', 'showFriendlyErrorStack', 'autoResubscribe')

/** What people also write there. No other name is repeated: it may be part of a password. */
const ELSEWHERE = ['keyPrefix', 'commandTimeout', 'username', 'password', 'user', 'pass', 'tls']
ELSEWHERE.push('rejectUnauthorized', 'ca', 'sentinels', 'protocol', 'retryStrategy')

/**
 * @typedef {object} Parts
 * @property {string} [host]
 * @property {number} [port]
 * @property {string} [path]
 * @property {string} [username]
 * @property {string} [password]
 * @property {number} db
 * @property {{ verify: true, others: string | undefined }} [tls]
 * @property {number} [partitions]
 */

/**
 * The parts of a URL. What is refused is never repeated in the error: whatever part of a
 * malformed URL it is, it may be the password.
 *
 * @param {string} text
 * @param {number} [defaultPort]
 * @returns {Parts}
 */
function partsOf(text, defaultPort = 6379) {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) throw refused('it cannot be read')
  if (UNIX.includes(url.protocol)) return ofUnix(url)
  const isTls = TLS.includes(url.protocol)
  if (!isTls && !TCP.includes(url.protocol)) throw refused('its protocol is not one of Redis')
  if (url.hostname === '') throw refused('it names no host')
  if (url.hash !== '') throw refused('it has a fragment')
  const { db, partitions } = queryOf(url, ['db', 'partitions'])
  const path = url.pathname.slice(1)
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || defaultPort),
    username: decoded(url.username),
    password: decoded(url.password),
    // As ioredis reads it, the path counts.
    db: database(path === '' ? db : path),
    tls: isTls ? { verify: true, others: authorities() } : undefined,
    partitions: partitions === undefined ? undefined : Number(partitions),
  }
}

/** @param {URL} url @returns {Parts} */
function ofUnix(url) {
  if (url.host !== '') throw refused('its path does not begin with /')
  if (url.hash !== '') throw refused('it has a fragment')
  const { db, user, pass } = queryOf(url, ['db', 'user', 'pass'])
  return { path: decoded(url.pathname), username: user, password: pass, db: database(db) }
}

/**
 * @param {URL} url
 * @param {string[]} read which parameters it may have, besides those that are ignored
 * @returns {Record<string, string | undefined>}
 */
function queryOf(url, read) {
  /** @type {Record<string, string | undefined>} */
  const query = {}
  for (const [name, value] of url.searchParams) {
    if (read.includes(name)) query[name] ??= value
    else if (ELSEWHERE.includes(name)) {
      throw refused(`its query sets ${name}, which is to be set elsewhere`)
    } else if (!IGNORED.includes(name)) {
      throw refused('its query sets what this module does not know')
    }
  }
  return query
}

/** Whether an error may repeat the name of a parameter. @param {string} name */
function isKnownParameter(name) {
  return name === 'db' || IGNORED.includes(name) || ELSEWHERE.includes(name)
}

/** @param {string | undefined} text */
function database(text = '0') {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw refused('its database is no number')
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    throw refused('it has a % that begins no character')
  }
}

/** @param {string} reason */
function refused(reason) {
  return new InvalidStateError('url', `${reason}; ${EXPECTED}`)
}

module.exports = { decoded, isKnownParameter, partsOf, queryOf, refused }
