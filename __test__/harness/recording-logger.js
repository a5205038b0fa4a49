'use strict'

/** A logger with pino's signature that remembers what it was told, one list a level. */
function makeLogger() {
  const logger = { told: {} }
  for (const level of ['debug', 'info', 'warn', 'error']) {
    logger.told[level] = []
    logger[level] = (fields, message) => logger.told[level].push({ ...fields, message })
  }
  return logger
}

module.exports = { makeLogger }
