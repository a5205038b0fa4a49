'use strict'

const { InvalidStateError } = require('./errors.js')

/** Well below the time for which Redis remembers what was applied (`Entry::TTL_SECONDS`). */
const MAX_COMMAND_TIMEOUT_MS = 600_000

const CLIENT = Object.freeze({ commandTimeoutMs: 5000, maxInFlight: 10_000 })

const MANAGER = Object.freeze({
  keyPrefix: 'session:',
  ttlSeconds: 3600,
  commandTimeoutMs: 5000,
  maxInFlight: 10_000,
  maxStateBytes: 1 << 20,
  updatesChannel: 'session-updates',
  wsChannelPrefix: 'ws:',
  logger: /** @type {import('..').Logger} */ ({ warn() {}, error() {} }),
})

/** @param {unknown} given what a client's caller has given */
function clientOptions(given) {
  const options = withDefaults(CLIENT, given)
  checkPositive(options, 'commandTimeoutMs', MAX_COMMAND_TIMEOUT_MS)
  checkPositive(options, 'maxInFlight')
  return options
}

/** @param {unknown} given what a manager's caller has given: a key prefix, or options */
function managerOptions(given) {
  const options = withDefaults(MANAGER, typeof given === 'string' ? { keyPrefix: given } : given)
  checkPositive(options, 'ttlSeconds')
  checkPositive(options, 'commandTimeoutMs', MAX_COMMAND_TIMEOUT_MS)
  checkPositive(options, 'maxInFlight')
  checkPositive(options, 'maxStateBytes', 512 << 20)
  for (const name of /** @type {const} */ (['keyPrefix', 'updatesChannel', 'wsChannelPrefix'])) {
    if (typeof options[name] !== 'string') throw new InvalidStateError(name, 'it is not a string')
  }
  // Or else each update were a WebSocket message, too.
  if (options.updatesChannel.startsWith(options.wsChannelPrefix)) {
    throw new InvalidStateError('updatesChannel', 'it begins with wsChannelPrefix')
  }
  return { ...options, logger: guarded(options.logger) }
}

/**
 * A logger that throws must not cost a callback its message, or a caller its answer.
 *
 * @param {import('..').Logger} logger
 * @returns {import('..').Logger}
 */
function guarded(logger) {
  for (const level of /** @type {const} */ (['warn', 'error'])) {
    if (typeof logger?.[level] !== 'function') {
      throw new InvalidStateError('logger', `it has no ${level}()`)
    }
  }
  const guard =
    (/** @type {'warn' | 'error'} */ level) =>
    (/** @type {object} */ fields, /** @type {string} */ message) => {
      try {
        logger[level](fields, message)
      } catch {
        // There is nobody left to tell.
      }
    }
  return { warn: guard('warn'), error: guard('error') }
}

/**
 * What was given, and the default for what was not, or is undefined.
 *
 * @template {object} T
 * @param {T} defaults
 * @param {any} given
 * @returns {T}
 */
function withDefaults(defaults, given) {
  if (given == null) return defaults
  if (typeof given !== 'object') throw new InvalidStateError('options', 'it is not an object')
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(defaults, name)) {
      throw new InvalidStateError(`options.${name}`, 'there is no such option')
    }
  }
  const set = Object.entries(given).filter(([, option]) => option !== undefined)
  return { ...defaults, ...Object.fromEntries(set) }
}

/** @param {any} options @param {string} name @param {number} [max] */
function checkPositive(options, name, max = 2 ** 31 - 1) {
  const value = options[name]
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new InvalidStateError(name, `it is not an integer from 1 to ${max}`)
  }
}

module.exports = { clientOptions, managerOptions }
