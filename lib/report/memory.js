'use strict'

const { tellOnce } = require('./warnings.js')

const CODE = 'SYNCKAIROS_MEMORY_IN_PRODUCTION'
const MESSAGE =
  'NODE_ENV is production, and sessions are in the memory of this process (memory:): no other process sees them, and they are lost when this one ends. Use the URL of a Redis server.'

/** Tells a logger, or else the process, once. @param {import('../../config/logger.js').Logger} logger */
function warnOfMemory(logger) {
  if (process.env.NODE_ENV === 'production') tellOnce(logger, CODE, MESSAGE)
}

module.exports = { warnOfMemory }
