'use strict'

/**
 * A logger with pino's signature that remembers what it was told: all `entries` in order as
 * `[level, fields, text]`, and those of one level in `told`.
 */
function recordingLogger() {
  const logger = { entries: [], told: {} }
  for (const level of ['debug', 'info', 'warn', 'error']) {
    logger.told[level] = []
    logger[level] = (fields, message) => {
      logger.entries.push([level, fields, message])
      logger.told[level].push({ ...fields, message })
    }
  }
  return logger
}

module.exports = { recordingLogger }
