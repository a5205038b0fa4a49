'use strict'

const { types } = require('node:util')
const { fromIso, fromText, hasIso, toIso } = require('../realm/dates.js')
const { InvalidStateError, StateDeserializationError } = require('../realm/errors.js')
const { Failure } = require('../realm/settle.js')
const { findChanged, findMistyped, findUnwritable } = require('./validation.js')

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
 * Turns date strings into dates: in the five fields any text that `new Date()` or RFC 3339 reads,
 * elsewhere exactly what `toISOString()` writes. The core has counted those, so a document with none elsewhere is not
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
    if (date === undefined) return fromText(value) ?? value
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
 * @param {boolean | 'strict'} validate what to look at, see `RedisStateManagerOptions`
 * @param {string} [sessionId]
 */
function write(state, validate, sessionId) {
  if (typeof state !== 'object' || state === null) {
    throw new InvalidStateError('state', 'it is not an object', sessionId)
  }
  let text
  let fault
  try {
    const plain = withWrittenDates(state)
    text = JSON.stringify(plain)
    fault = validate && typeof text === 'string' ? faultOf(state, plain, validate) : undefined
  } catch (cause) {
    throw new InvalidStateError(...unwritable(state), sessionId, cause)
  }
  if (typeof text !== 'string') {
    throw new InvalidStateError('state', 'it is not an object', sessionId)
  }
  if (fault !== undefined) throw new InvalidStateError(...fault, sessionId)
  return text
}

/**
 * Why a state has no JSON text.
 *
 * @param {object} state
 * @returns {import('./validation.js').Fault}
 */
function unwritable(state) {
  /** @type {import('./validation.js').Fault} */
  const unknown = ['state', 'it cannot be written as JSON']
  try {
    return findUnwritable(state) ?? unknown
  } catch {
    return unknown // A getter has thrown, and does so again.
  }
}

/**
 * @param {any} state
 * @param {any} plain the same with text for dates, which are quicker to look at
 * @param {true | 'strict'} validate
 */
function faultOf(state, plain, validate) {
  if (typeof state.toJSON === 'function') return undefined
  const fault = findChanged(plain)
  return fault === undefined && validate === 'strict' ? findMistyped(state) : fault
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

/** The text of a date that readers know again; any other value as it is. @param {unknown} value */
function written(value) {
  const time = types.isDate(value) ? value.getTime() : Number.NaN
  return hasIso(time) ? toIso(time) : value
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
