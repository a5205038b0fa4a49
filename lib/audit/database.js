'use strict'

const fs = require('node:fs')
const os = require('node:os')
const { authorities } = require('../settings/authorities.js')
const { InvalidStateError } = require('../realm/errors.js')
const { checkInteger, withDefaults } = require('../settings/options.js')
const { pem } = require('../settings/pem.js')
const { parsePostgresUrl } = require('./postgresUrl.js')
const { isSqliteUrl, parseSqliteUrl } = require('./sqliteUrl.js')
const { tlsOfEnvironment, tlsOfUrl, UNVERIFIED, VERIFY } = require('./tlsModes.js')
const { unheard, warnOnce } = require('../report/warnings.js')

/** @typedef {import('./tlsModes.js').TlsMode} TlsMode */
/** @typedef {Record<string, string | undefined>} Environment */

const CONNECT_TIMEOUT_SECONDS = 5
const MAX_CONNECT_TIMEOUT_SECONDS = 60

/** How many databases in memory were asked for: each is one of its own. */
let memories = 0

const SSL = Object.freeze({
  rejectUnauthorized: true,
  ca: /** @type {unknown} */ (undefined),
  cert: /** @type {unknown} */ (undefined),
  key: /** @type {unknown} */ (undefined),
  servername: /** @type {string | undefined} */ (undefined),
})

/**
 * The settings of the database for the core (`DatabaseOptions` in `src/audit/sink/mod.rs`): from the
 * options, else from the URL, else from the environment.
 *
 * @typedef {object} DatabaseSettings
 * @property {object} database for the core
 * @property {'POSTGRESQL' | 'SQLITE'} kind
 * @property {string} identity what tells databases apart; not shown
 * @property {boolean} isUnverifiedByDefault
 * @property {boolean} isNamed whether anything says which database is meant
 *
 * @typedef {{ databaseUrl?: unknown, ssl?: unknown, poolMin?: number, poolMax?: number }} Options
 *
 * @param {Options} options
 * @param {Environment} env
 * @returns {DatabaseSettings}
 */
function databaseSettings(options, env) {
  const text = options.databaseUrl ?? (env.DATABASE_URL || undefined)
  if (text !== undefined && typeof text !== 'string') {
    throw new InvalidStateError('databaseUrl', 'it is not a string')
  }
  if (text?.isWellFormed() === false) {
    throw new InvalidStateError('databaseUrl', 'it is not well-formed Unicode')
  }
  const settings =
    text !== undefined && isSqliteUrl(text)
      ? sqliteSettings(text, options)
      : postgresSettings(text ?? 'postgres://', options, env)
  return { ...settings, isNamed: Boolean(text ?? (env.PGHOST || env.PGDATABASE)) }
}

/**
 * SQLite has one connection, so the pool's sizes mean nothing to it. The environment's variables about
 * TLS may be for other programs; the option is for this queue.
 *
 * @param {string} text
 * @param {Options} options
 * @returns {Omit<DatabaseSettings, 'isNamed'>}
 */
function sqliteSettings(text, { ssl }) {
  if (ssl !== undefined && ssl !== false) {
    throw new InvalidStateError('ssl', 'it is for PostgreSQL: SQLite is a file of this machine')
  }
  const file = parseSqliteUrl(text)
  const identity = file ?? `:memory:${++memories}`
  return { database: { sqlite: { file } }, kind: 'SQLITE', identity, isUnverifiedByDefault: false }
}

/**
 * @param {string} text
 * @param {Options} options
 * @param {Environment} env
 * @returns {Omit<DatabaseSettings, 'isNamed'>}
 */
function postgresSettings(text, { ssl, poolMin, poolMax }, env) {
  const url = parsePostgresUrl(text)
  const { parameters } = url
  const login = loginOf(url, env)
  const { tls, isUnverifiedByDefault } = tlsOf(ssl, parameters, env)
  const hosts = hostsOf(url, env)
  const postgres = {
    hosts,
    login,
    tls,
    schema: parameters.schema || undefined,
    connectTimeoutMs: 1000 * connectTimeout(parameters, env),
    ...pool(poolMin, poolMax, parameters, env),
  }
  const identity = JSON.stringify([hosts, login.user, login.database])
  return { database: { postgres }, kind: 'POSTGRESQL', identity, isUnverifiedByDefault }
}

/** @param {import('./postgresUrl.js').PostgresUrl} url @param {Environment} env */
function hostsOf({ hosts, parameters }, env) {
  const named = hosts.some(({ host }) => host !== '')
  const others = parameters.host || (named ? undefined : env.PGHOST) || undefined
  const list = others?.split(',').map((host) => ({ host, port: '' })) ?? hosts
  const ports = (parameters.port || '').split(',')
  if (ports.length !== 1 && ports.length !== list.length) {
    throw new InvalidStateError('databaseUrl', 'it has another number of ports than of hosts')
  }
  return list.map(({ host, port }, at) => {
    const own = ports[ports.length === 1 ? 0 : at]
    const given = own || port || hosts[0]?.port || env.PGPORT || '5432'
    checkInteger('port', Number(given), 1, 65_535)
    return { host: host.replace(/^\[(.*)\]$/, '$1') || 'localhost', port: Number(given) }
  })
}

/** @param {import('./postgresUrl.js').PostgresUrl} url @param {Environment} env */
function loginOf({ user, password, database, parameters }, env) {
  const name = parameters.user || user || env.PGUSER || systemUser()
  return {
    user: name,
    password: parameters.password || password || env.PGPASSWORD || undefined,
    database: database || parameters.dbname || env.PGDATABASE || name,
    applicationName: parameters.application_name || env.PGAPPNAME || 'synckairos-state',
    options: parameters.options || env.PGOPTIONS || undefined,
  }
}

function systemUser() {
  try {
    return os.userInfo().username
  } catch {
    return '' // PostgreSQL says that it needs one.
  }
}

/**
 * How to encrypt; undefined for not at all. Also whether `DATABASE_SSL=true` is why the server is not
 * verified.
 *
 * @param {unknown} option
 * @param {Record<string, string>} parameters of the URL
 * @param {Environment} env
 */
function tlsOf(option, parameters, env) {
  const { mode, isUnverifiedByDefault } = modeOf(option, parameters, env)
  const negotiation = parameters.sslnegotiation || env.PGSSLNEGOTIATION || 'postgres'
  if (negotiation !== 'postgres' && negotiation !== 'direct') {
    throw new InvalidStateError('sslnegotiation', 'it is none of postgres and direct')
  }
  if (!mode) {
    if (negotiation === 'direct') throw new InvalidStateError('sslnegotiation', 'it needs TLS')
    return { tls: undefined, isUnverifiedByDefault }
  }
  const given =
    option !== null && typeof option === 'object' ? withDefaults(SSL, option, 'ssl') : SSL
  if (given.servername !== undefined && typeof given.servername !== 'string') {
    throw new InvalidStateError('ssl.servername', 'it is not a string')
  }
  const file = (/** @type {string} */ name, /** @type {string} */ variable) =>
    read(name, parameters[name]) ?? read(variable, env[variable])
  const ca = pem('ssl.ca', given.ca) ?? file('sslrootcert', 'PGSSLROOTCERT')
  const cert = pem('ssl.cert', given.cert) ?? file('sslcert', 'PGSSLCERT')
  const key = pem('ssl.key', given.key) ?? file('sslkey', 'PGSSLKEY')
  if ((cert === undefined) !== (key === undefined)) {
    throw new InvalidStateError(
      'ssl',
      'a client certificate needs its key, and a key its certificate',
    )
  }
  const { isRequired, verify, anyName = false } = mode
  const others = verify && ca === undefined ? authorities() : undefined
  const trust = { verify, anyName, ca, others, cert, key }
  const tls = {
    isRequired,
    isDirect: negotiation === 'direct',
    serverName: given.servername,
    trust,
  }
  return { tls, isUnverifiedByDefault }
}

/**
 * @param {unknown} option
 * @param {Record<string, string>} parameters
 * @param {Environment} env
 * @returns {{ mode: TlsMode | null | undefined, isUnverifiedByDefault: boolean }}
 */
function modeOf(option, parameters, env) {
  const decided = (/** @type {TlsMode | null | undefined} */ mode) => ({
    mode,
    isUnverifiedByDefault: false,
  })
  // Read it in any case: an unknown value is refused even where something else decides.
  const url = tlsOfUrl(parameters)
  if (option !== undefined) return decided(tlsOfOption(option))
  switch (env.DATABASE_SSL) {
    case 'verify':
      return decided(VERIFY)
    case 'no-verify':
      return decided(UNVERIFIED)
    case 'true':
      // As `pg` does, let a URL that asks for TLS say how; but never let it turn TLS off.
      if (url?.verify) return decided(url)
      return { mode: UNVERIFIED, isUnverifiedByDefault: !url }
    case undefined:
    case '':
    case 'false':
      return decided(url === undefined ? tlsOfEnvironment(env.PGSSLMODE) : url)
    default:
      throw new InvalidStateError('DATABASE_SSL', 'it is none of true, verify, no-verify and false')
  }
}

/** @param {unknown} option */
function tlsOfOption(option) {
  if (typeof option === 'boolean') return option ? VERIFY : null
  if (typeof option !== 'object' || option === null) {
    throw new InvalidStateError('ssl', 'it is neither a boolean nor an object')
  }
  const { rejectUnauthorized } = withDefaults(SSL, option, 'ssl')
  if (typeof rejectUnauthorized !== 'boolean') {
    throw new InvalidStateError('ssl.rejectUnauthorized', 'it is not a boolean')
  }
  return rejectUnauthorized ? VERIFY : UNVERIFIED
}

/**
 * The text of a file in PEM. `system`, for the authorities, means those of Node and of the system.
 *
 * @param {string} name of the parameter or the variable
 * @param {string | undefined} path
 */
function read(name, path) {
  if (!path || (path === 'system' && /rootcert$/i.test(name))) return undefined
  let text
  try {
    text = fs.readFileSync(path)
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error)
    throw new InvalidStateError(name, `its file cannot be read (${code})`)
  }
  return pem(name, text)
}

/** @param {Record<string, string>} parameters @param {Environment} env */
function connectTimeout({ connect_timeout: given }, env) {
  const seconds = Number(given || env.PGCONNECT_TIMEOUT || 0)
  checkInteger('connect_timeout', seconds, 0, MAX_CONNECT_TIMEOUT_SECONDS)
  return seconds || CONNECT_TIMEOUT_SECONDS
}

/**
 * @param {number | undefined} min
 * @param {number | undefined} max
 * @param {Record<string, string>} parameters
 * @param {Environment} env
 */
function pool(min, max, { connection_limit: limit }, env) {
  const most = limit ? Number(limit) : fromEnvironment(env, 'DATABASE_POOL_MAX', 20)
  const poolMax = max ?? most
  checkInteger(max === undefined && limit ? 'connection_limit' : 'poolMax', poolMax, 1, 10_000)
  const poolMin = min ?? Math.min(fromEnvironment(env, 'DATABASE_POOL_MIN', 2), poolMax)
  checkInteger('poolMin', poolMin, 0, 10_000)
  if (poolMin > poolMax) throw new InvalidStateError('poolMin', 'it is above poolMax')
  return { poolMin, poolMax }
}

/** @param {Environment} env @param {string} name @param {number} otherwise */
function fromEnvironment(env, name, otherwise) {
  const text = env[name]
  if (text === undefined || text === '') return otherwise
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) {
    throw new InvalidStateError(name, 'it is not a non-negative integer')
  }
  return value
}

const UNVERIFIED_WARNING =
  'DATABASE_SSL=true encrypts the connection to PostgreSQL and does not verify the server. To verify ' +
  'it, set DATABASE_SSL=verify or the option `ssl: true`; where its authority is not a public one, ' +
  'pass its certificate as well (`ssl: { ca }`, or sslrootcert in the URL)'

/** Warns a logger, or else the process, once. @param {import('../../config/logger.js').Logger} logger */
function warnOfUnverified(logger) {
  if (logger === unheard) warnOnce('SYNCKAIROS_DATABASE_UNVERIFIED', UNVERIFIED_WARNING)
  else logger.warn({}, UNVERIFIED_WARNING)
}

module.exports = { databaseSettings, warnOfUnverified }
