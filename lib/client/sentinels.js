'use strict'

const { endpointOf, natMapOf, refuse } = require('./addresses.js')

/** What sentinels accept as the name of a master. A part of a URL that is none is not repeated. */
const NAME = /^[\w.-]+$/

const SENTINEL_PORT = 26_379

/**
 * The sentinels of a server, as the core wants to know them.
 *
 * @param {Record<string, any>} given the settings of the server
 * @param {object | undefined} tls of the sentinels, as the core wants to know it
 */
function sentinelsOf({ sentinels, name, sentinelUsername, sentinelPassword, natMap }, tls) {
  if (!Array.isArray(sentinels) || sentinels.length === 0) {
    refuse('sentinels', 'it is not a list of { host, port } with one sentinel at least')
  }
  if (typeof name !== 'string' || !NAME.test(name)) {
    refuse('name', 'it is not the name of a master: letters, digits, and any of . - _')
  }
  for (const [field, value] of Object.entries({ sentinelUsername, sentinelPassword })) {
    if (value !== undefined && typeof value !== 'string') refuse(field, 'it is not a string')
  }
  return {
    name,
    sentinels: sentinels.map((/** @type {unknown} */ one, /** @type {number} */ at) =>
      endpointOf(`sentinels[${at}]`, one, SENTINEL_PORT),
    ),
    username: sentinelUsername || undefined,
    password: sentinelPassword || undefined,
    tls,
    natMap: natMapOf(natMap),
  }
}

module.exports = { sentinelsOf }
