'use strict'

const { types } = require('node:util')
const { InvalidStateError, StateDeserializationError } = require('./errors.js')
const { Failure } = require('./settle.js')

// Character codes in what `toISOString()` writes.
const DASH = 0x2d
const DOT = 0x2e
const COLON = 0x3a
const T = 0x54
const Z = 0x5a

// Not looked up on the string each time: in a process that has loaded certain other packages
// (ioredis is one) V8 no longer knows beforehand what it will find, and reading dates costs thrice.
/** @type {(text: string, at: number) => number} */
const codeAt = Function.prototype.call.bind(String.prototype.charCodeAt)

const RFC_3339 =
  /^(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/

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
  if (!Number.isSafeInteger(state.version) || state.version < 0) return corrupt(text, sessionId)
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
 * The date whose `toISOString()` is `text`. Read by hand: `new Date(text)` and the proof that it
 * writes the same text again cost as much as the rest of the document.
 *
 * @param {string} text
 */
function fromIso(text) {
  if (text.length !== 24 || codeAt(text, 10) !== T || codeAt(text, 23) !== Z) return undefined
  if (codeAt(text, 4) !== DASH || codeAt(text, 7) !== DASH) return undefined
  if (codeAt(text, 13) !== COLON || codeAt(text, 16) !== COLON) return undefined
  if (codeAt(text, 19) !== DOT) return undefined
  const year = two(text, 0) * 100 + two(text, 2)
  const month = two(text, 5)
  const day = two(text, 8)
  const hour = two(text, 11)
  const minute = two(text, 14)
  const second = two(text, 17)
  const ms = two(text, 20) * 10 + one(text, 22)
  if (!(hour <= 23 && minute <= 59 && second <= 59 && ms <= 999)) return undefined
  if (!(year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(month, year)))
    return undefined
  const minutes = (epochDay(year, month, day) * 24 + hour) * 60 + minute
  return new Date((minutes * 60 + second) * 1000 + ms)
}

/**
 * Days since 1970 in the Gregorian calendar, counted in years that begin with March.
 *
 * @param {number} year
 * @param {number} month from 1
 * @param {number} day from 1
 */
function epochDay(year, month, day) {
  const y = month > 2 ? year : year - 1
  const leapDays = Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400)
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  return y * 365 + leapDays + dayOfYear - 719_468
}

/** @param {number} month from 1 @param {number} year */
function daysIn(month, year) {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}

/**
 * The number that two digits write; NaN, which fails every comparison, if they are none.
 *
 * @param {string} text
 * @param {number} at
 */
function two(text, at) {
  return one(text, at) * 10 + one(text, at + 1)
}

/** @param {string} text @param {number} at */
function one(text, at) {
  const digit = codeAt(text, at) - 48
  return digit >= 0 && digit <= 9 ? digit : Number.NaN
}

/** @param {string} text */
function fromRfc3339(text) {
  const match = RFC_3339.exec(text)
  if (match === null) return undefined
  const [, day = '', minute, second, fraction = '', zone] = match
  // Date would take 30 February for 2 March.
  if (fromIso(`${day}T00:00:00.000Z`) === undefined) return undefined
  const leap = second === '60'
  const plain = `${day}T${minute}:${leap ? '59' : second}${fraction.slice(0, 4)}${zone?.toUpperCase()}`
  const date = new Date(plain)
  if (Number.isNaN(date.getTime())) return undefined
  return leap ? new Date(date.getTime() + 1000) : date
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
  let text
  try {
    text = JSON.stringify(state)
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
  const invalid = text.includes('null') ? findInvalidDate(state) : undefined
  if (invalid !== undefined) {
    throw new InvalidStateError(invalid, 'it is an invalid date', sessionId)
  }
  return text
}

/**
 * The path of the first invalid date. `JSON.stringify` has been here: there is no cycle.
 *
 * @param {any} container
 * @returns {string | undefined}
 */
function findInvalidDate(container) {
  for (const key in container) {
    const value = container[key]
    if (typeof value !== 'object' || value === null) continue
    if (types.isDate(value)) {
      if (Number.isNaN(value.getTime()) && Object.hasOwn(container, key)) return key
    } else if (typeof value.toJSON !== 'function') {
      const within = findInvalidDate(value)
      if (within !== undefined) return `${key}.${within}`
    }
  }
  return undefined
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
function written(text, set) {
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

module.exports = { checkId, read, write, written }
