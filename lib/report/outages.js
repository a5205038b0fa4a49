'use strict'

const { warn } = require('./warnings.js')

/** @typedef {'REDIS' | 'POSTGRESQL' | 'SQLITE'} Kind of a server */

/**
 * The outages that this process has warned of. By server: who has no connection to it. However
 * many there are, the process is warned once when an outage begins, and once when the last of
 * them is connected again.
 *
 * Callers report an outage when an attempt to connect has failed. A lost connection that the first
 * attempt replaces is none.
 *
 * @type {Map<string, Set<object>>}
 */
const outages = new Map()

/**
 * Somebody could not connect to a server. An outage of a store in memory is no news: a test has asked for it.
 *
 * @param {Kind} kind
 * @param {string} server as all name it who speak to it; not shown
 * @param {object} who
 * @param {string} message
 */
function outageBegan(kind, server, who, message) {
  // A store in this process is away only where a test wants it so, and knows.
  if (server.startsWith('memory:')) return
  const key = `${kind} ${server}`
  const missing = outages.get(key)
  if (missing) missing.add(who)
  else {
    outages.set(key, new Set([who]))
    warn(`SYNCKAIROS_${kind}_OUTAGE`, message)
  }
}

/**
 * Somebody is connected to a server.
 *
 * @param {Kind} kind
 * @param {string} server
 * @param {object} who
 * @param {string} message
 */
function outageEnded(kind, server, who, message) {
  if (outageLeft(kind, server, who)) warn(`SYNCKAIROS_${kind}_RECOVERED`, message)
}

/**
 * Somebody needs a server no more. Returns whether that was the last one of an outage.
 *
 * @param {Kind} kind
 * @param {string} server
 * @param {object} who
 */
function outageLeft(kind, server, who) {
  const key = `${kind} ${server}`
  const missing = outages.get(key)
  return missing?.delete(who) === true && missing.size === 0 && outages.delete(key)
}

module.exports = { outageBegan, outageEnded, outageLeft }
