'use strict'

/** What was told once, and is not told again. @type {Set<string>} */
const told = new Set()

/**
 * A warning of Node's, for what nobody else hears of. `--no-warnings` hides it, and
 * `--disable-warning` with its code; `process.on('warning')` hears it.
 *
 * @param {string} code `SYNCKAIROS_…`
 * @param {string} message
 */
function warn(code, message) {
  process.emitWarning(message, { type: 'SynckairosWarning', code })
}

/** @param {string} code @param {string} message */
function warnOnce(code, message) {
  if (told.has(message)) return
  told.add(message)
  warn(code, message)
}

/**
 * The logger of whoever was given none: the process is warned once of each kind of error, and of
 * outages by `outages.js`.
 *
 * @type {Required<import('../../config/logger.js').Logger>}
 */
const unheard = Object.freeze({
  info() {},
  warn() {},
  error(/** @type {object} */ _fields, /** @type {string} */ message) {
    warnOnce('SYNCKAIROS_UNHEARD', `${message} (told once; pass a logger to hear of each)`)
  },
})

/**
 * Tells a logger, or else the process, once in all.
 *
 * @param {import('../../config/logger.js').Logger} logger
 * @param {string} code
 * @param {string} message
 */
function tellOnce(logger, code, message) {
  if (logger === unheard) return warnOnce(code, message)
  if (told.has(message)) return
  told.add(message)
  logger.warn({}, message)
}

module.exports = { tellOnce, unheard, warn, warnOnce }
