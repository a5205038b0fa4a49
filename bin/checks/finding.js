'use strict'

const { homepage } = require('../../package.json')

const PAGES = homepage.replace('#readme', '/blob/main/docs/')

/**
 * Something that may lose data, or that keeps the service from working.
 *
 * @typedef {object} Finding
 * @property {'danger' | 'warning' | 'unknown'} level `unknown`: what could not be looked at
 * @property {string} what
 * @property {string} mend how to mend it
 * @property {string} page which says more
 */

/**
 * @param {Finding['level']} level
 * @param {string} what
 * @param {string} mend
 * @param {string} page in docs/, with its section
 * @returns {Finding}
 */
function finding(level, what, mend, page) {
  return { level, what, mend, page: PAGES + page }
}

/** How far clocks may be apart, ms: a second is more than NTP leaves. */
const MOST_SKEW_MS = 1000

/**
 * @param {string} whose
 * @param {number} skewMs
 * @returns {Finding[]}
 */
function clockFindings(whose, skewMs) {
  if (Math.abs(skewMs) <= MOST_SKEW_MS) return []
  const told = `${(Math.abs(skewMs) / 1000).toFixed(1)} s ${skewMs > 0 ? 'ahead of' : 'behind'}`
  return [
    finding(
      'warning',
      `the clock of ${whose} is ${told} this machine's`,
      'run NTP on all machines: dates of records come from the instances that make them',
      'operations.md#records',
    ),
  ]
}

module.exports = { clockFindings, finding }
