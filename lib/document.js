'use strict'

const { types } = require('node:util')
const { fromIso, fromRfc3339, toIso } = require('./dates.js')
const { InvalidStateError, StateDeserializationError } = require('./errors.js')
const { Failure } = require('./settle.js')

/**
 * The state of a stored document, or the failure to read it.
 *
 * @param {string} text
 * @param {number} isoStrings how many strings in it look as `toISOString()` writes them
 * @param {string} sessionId
 */
function read(text, isoStrings, sessionId) {
  let state
  try {
    state = JSON.parse(text)
  } catch (cause) {
    return corrupt(text, sessionId, cause)
  }
  if (typeof state !== 'object' || state === null) return corrupt(text, sessionId)
  if (!isVersion(state.version)) return corrupt(text, sessionId)
  return revive(state, isoStrings)
}

/** @param {string} text @param {string} sessionId @param {unknown} [cause] */
function corrupt(text, sessionId, cause) {
  return new Failure(() => new StateDeserializationError(sessionId, text, cause))
}

/**
 * Turns date strings into dates: in the five fields any RFC 3339 text, elsewhere exactly what
 * `toISOString()` writes. The core has counted those, so a document with none elsewhere is not
 * walked through.
 *
 * @param {any} state
 * @param {number} isoStrings
 */
function revive(state, isoStrings) {
  let left = isoStrings
  const dated = (/** @type {unknown} */ value) => {
    if (typeof value !== 'string') return value
    const date = fromIso(value)
    if (date === undefined) return fromRfc3339(value) ?? value
    left--
    return date
  }
  // Spelled out, each is a fast access; by name in a loop they cost more than the dates.
  if (state.cycle_started_at) state.cycle_started_at = dated(state.cycle_started_at)
  if (state.session_started_at) state.session_started_at = dated(state.session_started_at)
  if (state.session_completed_at) state.session_completed_at = dated(state.session_completed_at)
  if (state.created_at) state.created_at = dated(state.created_at)
  if (state.updated_at) state.updated_at = dated(state.updated_at)
  if (left > 0) reviveWithin(state)
  return state
}

/** @param {any} state as `JSON.parse` made it, however deep */
function reviveWithin(state) {
  const containers = [state]
  for (let container = containers.pop(); container !== undefined; container = containers.pop()) {
    for (const key of Object.keys(container)) {
      const value = container[key]
      if (typeof value === 'string') {
        const date = fromIso(value)
        if (date !== undefined) container[key] = date
      } else if (typeof value === 'object' && value !== null && !types.isDate(value)) {
        containers.push(value)
      }
    }
  }
}

/**
 * The JSON text of a state, for a write.
 *
 * @param {unknown} state
 * @param {string} [sessionId]
 */
function write(state, sessionId) {
  if (typeof state !== 'object' || state === null) {
    throw new InvalidStateError('state', 'it is not an object', sessionId)
  }
  let plain
  let text
  try {
    plain = withWrittenDates(state)
    text = JSON.stringify(plain)
  } catch (cause) {
    const [field, reason] = findUnwritable(state, new Set(), 100) ?? [
      'state',
      'it cannot be written as JSON',
    ]
    throw new InvalidStateError(field, reason, sessionId, cause)
  }
  if (typeof text !== 'string') {
    throw new InvalidStateError('state', 'it is not an object', sessionId)
  }
  // An invalid date is written as null, and nothing tells it from a null afterwards.
  const invalid = text.includes('null') ? findInvalidDate(plain) : undefined
  if (invalid !== undefined) {
    throw new InvalidStateError(invalid, 'it is an invalid date', sessionId)
  }
  return text
}

/**
 * The same with text for dates in the five fields: `JSON.stringify` calls each date's `toJSON`, which
 * costs as much as a quarter of the document.
 *
 * @param {any} state
 */
function withWrittenDates(state) {
  if (Array.isArray(state) || typeof state.toJSON === 'function') return state
  const plain = { ...state }
  // Spelled out, as in `revive`. What is not there must not come to be.
  if (plain.cycle_started_at) plain.cycle_started_at = written(plain.cycle_started_at)
  if (plain.session_started_at) plain.session_started_at = written(plain.session_started_at)
  if (plain.session_completed_at) plain.session_completed_at = written(plain.session_completed_at)
  if (plain.created_at) plain.created_at = written(plain.created_at)
  if (plain.updated_at) plain.updated_at = written(plain.updated_at)
  return plain
}

/** @param {unknown} value */
function isVersion(value) {
  return Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0
}

/** A date's text; else the value, an invalid date as well. @param {unknown} value */
function written(value) {
  const time = types.isDate(value) ? value.getTime() : Number.NaN
  return Number.isNaN(time) ? value : toIso(time)
}

/**
 * The path of the first invalid date. `JSON.stringify` has been here: there is no cycle.
 *
 * @param {any} container
 * @returns {string | undefined}
 */
function findInvalidDate(container) {
  if (Array.isArray(container)) {
    // By number: `for in` makes a string of each.
    for (let index = 0; index < container.length; index++) {
      const within = invalidDateAt(container, index)
      if (within !== undefined) return within
    }
    return undefined
  }
  for (const key in container) {
    const within = invalidDateAt(container, key)
    if (within !== undefined) return within
  }
  return undefined
}

/** @param {any} container @param {string | number} key @returns {string | undefined} */
function invalidDateAt(container, key) {
  const value = container[key]
  if (typeof value !== 'object' || value === null) return undefined
  if (types.isDate(value)) {
    return Number.isNaN(value.getTime()) && Object.hasOwn(container, key) ? `${key}` : undefined
  }
  if (typeof value.toJSON === 'function') return undefined
  const within = findInvalidDate(value)
  return within === undefined ? undefined : `${key}.${within}`
}

/**
 * What `JSON.stringify` threw for, and where.
 *
 * @param {any} container
 * @param {Set<unknown>} above the containers that this one is in
 * @param {number} depth how much deeper to look
 * @returns {[string, string] | undefined}
 */
function findUnwritable(container, above, depth) {
  above.add(container)
  for (const key of Object.keys(container)) {
    const value = container[key]
    if (typeof value === 'bigint') return [key, 'it is a BigInt, which JSON cannot hold']
    if (typeof value !== 'object' || value === null) continue
    if (above.has(value)) return [key, 'it leads back to itself (a cycle)']
    const within = depth > 0 ? findUnwritable(value, above, depth - 1) : undefined
    if (within !== undefined) return [`${key}.${within[0]}`, within[1]]
  }
  above.delete(container)
  return undefined
}

/**
 * The state that a write has stored: what its text says, with what the write has set.
 *
 * @param {string} text
 * @param {object} set
 */
function stored(text, set) {
  return Object.assign(revive(JSON.parse(text), Number.POSITIVE_INFINITY), set)
}

/**
 * Of the rest (empty, too long) the core takes care; it gets strings only.
 *
 * @param {unknown} sessionId
 */
function checkId(sessionId) {
  if (typeof sessionId !== 'string') {
    throw new InvalidStateError('session_id', 'it is not a string')
  }
  // Half a surrogate pair has no UTF-8: two such ids would become one key.
  if (!sessionId.isWellFormed()) {
    throw new InvalidStateError('session_id', 'it is not well-formed Unicode')
  }
  return sessionId
}

module.exports = { checkId, read, stored, write }
