'use strict'

const { tellOnce, warn } = require('./warnings.js')

const CODE = 'SYNCKAIROS_MEMORY_IN_PRODUCTION'
const MESSAGE =
  'NODE_ENV is production, and sessions are in the memory of this process (memory:): no other process sees them, and they are lost when this one ends. Use the URL of a Redis server.'

/** Tells a logger, or else the process, once. @param {import('../../config/logger.js').Logger} logger */
function warnOfMemory(logger) {
  if (process.env.NODE_ENV === 'production') tellOnce(logger, CODE, MESSAGE)
}

/** Warns the process of audit records that a store has taken with it. @param {string} server @param {number} count */
function warnOfLostRecords(server, count) {
  const records = count === 1 ? '1 audit record' : `${count} audit records`
  const message = `${server} has ended with its last user, and with it ${records} that no worker had stored. Await drained() of a queue before you close it, or name the store memory://name?keep.`
  warn('SYNCKAIROS_RECORDS_LOST', message)
}

module.exports = { warnOfLostRecords, warnOfMemory }
