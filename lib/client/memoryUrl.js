'use strict'

const { InvalidStateError } = require('../realm/errors.js')
const { isKnownParameter } = require('./serverUrl.js')

const EXPECTED = 'expected memory:, memory://name or memory://name?keep'

/** A store in this process. All clients with the same name share it. */
class MemoryStore {
  /**
   * @param {string} name
   * @param {{ keep?: boolean, adjustable?: boolean }} [options] whether the store outlives its last
   *   client, and whether a test can set its clock ahead
   */
  constructor(name, { keep = false, adjustable = false } = {}) {
    this.name = name
    this.keep = keep
    this.adjustable = adjustable
    Object.freeze(this)
  }
}

/** @param {string} text */
function isMemoryUrl(text) {
  return /^\s*memory:/i.test(text)
}

/**
 * The store that a URL names. An error repeats no part of the URL: it may be a Redis URL with another
 * protocol, and hold a password.
 *
 * @param {string} text
 */
function memoryStoreOf(text) {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) throw refused('it cannot be read')
  if (url.username !== '' || url.password !== '') throw refused('it has a user or a password')
  if (url.port !== '') throw refused('it has a port')
  if (url.pathname !== '') throw refused('it has a path')
  if (url.hash !== '') throw refused('it has a fragment')
  if (!/^[\w.-]*$/.test(url.hostname)) {
    throw refused('its name has other characters than letters, digits, ".", "-" and "_"')
  }
  return new MemoryStore(url.hostname, { keep: isKept(url.searchParams) })
}

/** @param {URLSearchParams} query */
function isKept(query) {
  for (const [name, value] of query) {
    if (name === 'keep' && value !== '') throw refused('its keep has a value')
    if (name !== 'keep') {
      throw refused(
        `its query sets ${isKnownParameter(name) ? name : 'what a store does not have'}`,
      )
    }
  }
  return query.has('keep')
}

/** @param {string} reason */
function refused(reason) {
  return new InvalidStateError('url', `${reason}; ${EXPECTED}`)
}

module.exports = { MemoryStore, isMemoryUrl, memoryStoreOf }
