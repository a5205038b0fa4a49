'use strict'

/** How long a health check may wait for an answer, ms. */
const PATIENCE = 1000

/** The most characters of a reason: all together are small enough for a readiness probe. */
const LONGEST = 300

/**
 * What a health check comes to.
 *
 * @param {readonly string[]} reasons why the instance is not ready
 * @returns {import('../../state/health.js').Health}
 */
function healthOf(reasons) {
  return { ready: reasons.length === 0, reasons: reasons.map(shortened) }
}

/** @param {string} reason */
function shortened(reason) {
  return reason.length > LONGEST ? `${reason.slice(0, LONGEST - 1)}…` : reason
}

module.exports = { PATIENCE, healthOf }
