'use strict'

const { InvalidStateError } = require('../realm/errors.js')
const { unheard } = require('../report/warnings.js')

/** Well below the time for which Redis remembers what was applied (`src/redis/scripts/ledger.lua`). */
const MAX_COMMAND_TIMEOUT_MS = 600_000

/** How many bytes the calls in flight of one owner may have together. */
const MAX_IN_FLIGHT_BYTES = 256 << 20

const CLIENT = Object.freeze({
  commandTimeoutMs: 5000,
  maxInFlight: 10_000,
  maxInFlightBytes: MAX_IN_FLIGHT_BYTES,
})

const MANAGER = Object.freeze({
  keyPrefix: 'session:',
  ttlSeconds: 3600,
  announceExpiry: false,
  commandTimeoutMs: 5000,
  maxInFlight: 10_000,
  maxInFlightBytes: MAX_IN_FLIGHT_BYTES,
  maxFeedBytes: 64 << 20,
  maxStateBytes: 1 << 20,
  updatesChannel: 'session-updates',
  wsChannelPrefix: 'ws:',
  allPrefixes: false,
  validate: /** @type {boolean | 'strict'} */ (true),
  logger: /** @type {import('../../config/logger.js').Logger} */ (unheard),
  cache: /** @type {{ maxSessions?: number } | undefined} */ (undefined),
  replicas: /** @type {unknown} */ (undefined),
})

const REPLICAS = Object.freeze({
  count: /** @type {number} */ (/** @type {unknown} */ (undefined)),
  timeoutMs: 500,
})

const CACHE = Object.freeze({ maxSessions: 10_000 })

const QUEUE = Object.freeze({
  queueName: /** @type {string} */ ('db-writes'),
  attempts: 5,
  backoffDelay: 2000,
  databaseUrl: /** @type {unknown} */ (undefined),
  poolMin: /** @type {number | undefined} */ (undefined),
  poolMax: /** @type {number | undefined} */ (undefined),
  ssl: /** @type {unknown} */ (undefined),
  worker: true,
  batchSize: 500,
  maxBatchBytes: 8 << 20,
  maxHeldBytes: 32 << 20,
  migrate: false,
  maxBacklog: /** @type {number | undefined} */ (undefined),
  replicas: /** @type {unknown} */ (undefined),
  commandTimeoutMs: 5000,
  maxInFlight: 10_000,
  maxInFlightBytes: MAX_IN_FLIGHT_BYTES,
  logger: MANAGER.logger,
})

/** @param {unknown} given what a client's caller has given */
function clientOptions(given) {
  const options = withDefaults(CLIENT, given)
  checkPositive(options, 'commandTimeoutMs', MAX_COMMAND_TIMEOUT_MS)
  checkPositive(options, 'maxInFlight')
  checkPositive(options, 'maxInFlightBytes')
  return options
}

/** @param {unknown} given what a manager's caller has given: a key prefix, or options */
function managerOptions(given) {
  const options = withDefaults(MANAGER, typeof given === 'string' ? { keyPrefix: given } : given)
  checkPositive(options, 'ttlSeconds')
  checkPositive(options, 'commandTimeoutMs', MAX_COMMAND_TIMEOUT_MS)
  checkPositive(options, 'maxInFlight')
  checkPositive(options, 'maxInFlightBytes')
  checkPositive(options, 'maxFeedBytes')
  checkPositive(options, 'maxStateBytes', 512 << 20)
  for (const name of /** @type {const} */ (['keyPrefix', 'updatesChannel', 'wsChannelPrefix'])) {
    if (typeof options[name] !== 'string') throw new InvalidStateError(name, 'it is not a string')
  }
  for (const name of /** @type {const} */ (['allPrefixes', 'announceExpiry'])) {
    if (typeof options[name] !== 'boolean') throw new InvalidStateError(name, 'it is not a boolean')
  }
  if (typeof options.validate !== 'boolean' && options.validate !== 'strict') {
    throw new InvalidStateError('validate', "it is none of true, false and 'strict'")
  }
  // Or else each update were a WebSocket message, too.
  if (options.updatesChannel.startsWith(options.wsChannelPrefix)) {
    throw new InvalidStateError('updatesChannel', 'it begins with wsChannelPrefix')
  }
  return {
    ...options,
    logger: guarded(options.logger),
    cache: cacheOptions(options.cache),
    replicas: replicaOptions(options),
  }
}

/**
 * @param {{ replicas: unknown, commandTimeoutMs: number }} options `replicas` is undefined where no
 *   replica has to have a write
 */
function replicaOptions({ replicas, commandTimeoutMs }) {
  if (replicas == null) return undefined
  const timeoutMs = Math.min(REPLICAS.timeoutMs, commandTimeoutMs)
  const options = withDefaults({ ...REPLICAS, timeoutMs }, replicas, 'replicas')
  checkInteger('replicas.count', options.count, 1, 100)
  // A call that waits longer would end by its own time-out.
  checkInteger('replicas.timeoutMs', options.timeoutMs, 1, commandTimeoutMs)
  return options
}

/** @param {unknown} given undefined where no cache is wanted */
function cacheOptions(given) {
  if (given == null) return undefined
  const options = withDefaults(CACHE, given, 'cache')
  // What a Map can hold, and some: those that are being read.
  checkInteger('cache.maxSessions', options.maxSessions, 1, 10_000_000)
  return options
}

/** @param {unknown} given what a queue's caller has given */
function queueOptions(given) {
  const options = withDefaults(QUEUE, given)
  if (typeof options.queueName !== 'string' || options.queueName === '') {
    throw new InvalidStateError('queueName', 'it is not a string, or empty')
  }
  if (!options.queueName.isWellFormed()) {
    throw new InvalidStateError('queueName', 'it is not well-formed Unicode')
  }
  for (const name of /** @type {const} */ (['worker', 'migrate'])) {
    if (typeof options[name] !== 'boolean') throw new InvalidStateError(name, 'it is no boolean')
  }
  if (options.migrate && !options.worker) {
    throw new InvalidStateError('migrate', 'a worker migrates, and this queue has none (worker)')
  }
  checkPositive(options, 'attempts')
  checkPositive(options, 'backoffDelay')
  checkPositive(options, 'batchSize', 5000)
  checkPositive(options, 'maxBatchBytes')
  checkPositive(options, 'maxHeldBytes')
  checkPositive(options, 'commandTimeoutMs', MAX_COMMAND_TIMEOUT_MS)
  checkPositive(options, 'maxInFlight')
  checkPositive(options, 'maxInFlightBytes')
  if (options.maxBacklog !== undefined) checkPositive(options, 'maxBacklog')
  return { ...options, logger: guarded(options.logger), replicas: replicaOptions(options) }
}

/**
 * A logger that throws must not cost a callback its message, or a caller its answer. One without
 * `info` is told by `warn` what is good news.
 *
 * @param {import('../../config/logger.js').Logger} logger
 * @returns {Required<import('../../config/logger.js').Logger>}
 */
function guarded(logger) {
  if (logger === unheard) return unheard
  for (const level of /** @type {const} */ (['warn', 'error'])) {
    if (typeof logger?.[level] !== 'function') {
      throw new InvalidStateError('logger', `it has no ${level}()`)
    }
  }
  const guard =
    (/** @type {'info' | 'warn' | 'error'} */ level) =>
    (/** @type {object} */ fields, /** @type {string} */ message) => {
      try {
        logger[level]?.(fields, message)
      } catch {
        // There is nobody left to tell.
      }
    }
  const info = guard(typeof logger.info === 'function' ? 'info' : 'warn')
  return { info, warn: guard('warn'), error: guard('error') }
}

/**
 * What was given, and the default for what was not, or is undefined.
 *
 * @template {object} T
 * @param {T} defaults
 * @param {any} given
 * @param {string} [where] the name of what was given
 * @returns {T}
 */
function withDefaults(defaults, given, where = 'options') {
  if (given == null) return defaults
  if (typeof given !== 'object') throw new InvalidStateError(where, 'it is not an object')
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(defaults, name)) {
      throw new InvalidStateError(`${where}.${name}`, 'there is no such option')
    }
  }
  const set = Object.entries(given).filter(([, option]) => option !== undefined)
  return { ...defaults, ...Object.fromEntries(set) }
}

/** @param {any} options @param {string} name @param {number} [max] */
function checkPositive(options, name, max = 2 ** 31 - 1) {
  checkInteger(name, options[name], 1, max)
}

/** @param {string} field @param {any} value @param {number} min @param {number} max */
function checkInteger(field, value, min, max) {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new InvalidStateError(field, `it is not an integer from ${min} to ${max}`)
  }
}

module.exports = { checkInteger, clientOptions, managerOptions, queueOptions, withDefaults }
