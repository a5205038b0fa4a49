'use strict'

const { types } = require('node:util')
const { InvalidStateError, StateDeserializationError } = require('./errors.js')
const { Failure } = require('./settle.js')

/** The fields that hold dates in whatever form of RFC 3339 their writer chose. */
const DATE_FIELDS = [
  'cycle_started_at',
  'session_started_at',
  'session_completed_at',
  'created_at',
  'updated_at',
]

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const RFC_3339 =
  /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/

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
  if (typeof state !== 'object' || state === null || !Number.isInteger(state.version)) {
    return corrupt(text, sessionId)
  }
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
  for (const field of DATE_FIELDS) {
    const value = state[field]
    if (typeof value !== 'string') continue
    const date = fromIso(value)
    if (date !== undefined) left--
    state[field] = date ?? fromRfc3339(value) ?? value
  }
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
        if (date !== undefined) put(container, key, date)
      } else if (typeof value === 'object' && value !== null && !types.isDate(value)) {
        containers.push(value)
      }
    }
  }
}

/** @param {any} container @param {string} key @param {Date} date */
function put(container, key, date) {
  if (key !== '__proto__') {
    container[key] = date
    return
  }
  // Assigned, it would change the prototype instead of the field that `JSON.parse` made.
  Object.defineProperty(container, key, {
    value: date,
    writable: true,
    enumerable: true,
    configurable: true,
  })
}

/** @param {string} text */
function fromIso(text) {
  if (text.length !== 24 || !ISO.test(text)) return undefined
  const date = new Date(text)
  // 30 February is read as 2 March: not what toISOString() had written.
  return !Number.isNaN(date.getTime()) && date.toISOString() === text ? date : undefined
}

/** @param {string} text */
function fromRfc3339(text) {
  const match = RFC_3339.exec(text)
  if (match === null) return undefined
  const [, day, minute, second, fraction = '', zone] = match
  const leap = second === '60'
  const plain = `${day}T${minute}:${leap ? '59' : second}${fraction.slice(0, 4)}${zone?.toUpperCase()}`
  const date = new Date(plain)
  if (Number.isNaN(date.getTime())) return undefined
  return leap ? new Date(date.getTime() + 1000) : date
}

/**
 * The JSON text of a state, for a write. What JSON would change in silence is refused.
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

module.exports = { read, revive, write }
