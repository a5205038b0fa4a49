'use strict'

const { types } = require('node:util')
const { fromIso, fromText, hasIso } = require('../realm/dates.js')

/**
 * Where something is wrong in a state, such as `participants[0].total_time_ms`, and what.
 *
 * @typedef {[path: string, reason: string]} Fault
 */

/**
 * The first value that JSON would silently turn into another: a number that is none into null, a
 * Map into `{}`. `JSON.stringify` has been here: there is no cycle.
 *
 * @param {any} container
 * @returns {Fault | undefined}
 */
function findChanged(container) {
  if (Array.isArray(container)) {
    // By number: `for in` makes a string of each.
    for (let index = 0; index < container.length; index++) {
      const value = container[index]
      if (typeof value === 'number' ? value - value === 0 : typeof value !== 'object') continue
      const fault = value === null ? undefined : changedAt(value)
      if (fault !== undefined) return below(`[${index}]`, fault)
    }
    return undefined
  }
  for (const key in container) {
    const value = container[key]
    if (typeof value === 'number' ? value - value === 0 : typeof value !== 'object') continue
    const fault = value === null ? undefined : changedAt(value)
    // What is inherited is not written.
    if (fault !== undefined && Object.hasOwn(container, key)) return below(key, fault)
  }
  return undefined
}

/** @param {any} value an object, or a number that is not finite @returns {Fault | undefined} */
function changedAt(value) {
  if (typeof value === 'number') return ['', `it is ${value}, which JSON turns into null`]
  const prototype = Object.getPrototypeOf(value)
  const isPlain = prototype === Object.prototype || prototype === Array.prototype
  if (!isPlain && types.isDate(value)) {
    if (hasIso(value.getTime())) return undefined
    const isInvalid = Number.isNaN(value.getTime())
    return ['', isInvalid ? 'it is an invalid date' : 'it is a date outside the years 0 to 9999']
  }
  if (typeof value.toJSON === 'function') return undefined // What that makes is its own business.
  if (!isPlain && isOpaque(value)) return ['', 'it is an object whose content JSON does not hold']
  return findChanged(value)
}

/** Whether an object has content that is not in its properties. @param {object} value */
function isOpaque(value) {
  return (
    types.isMap(value) ||
    types.isSet(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isRegExp(value) ||
    types.isPromise(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isArrayBufferView(value)
  )
}

/**
 * What `JSON.stringify` threw for.
 *
 * @param {any} container
 * @param {Set<unknown>} above the containers that this one is in
 * @param {number} depth how much deeper to look
 * @returns {Fault | undefined}
 */
function findUnwritable(container, above = new Set(), depth = 100) {
  above.add(container)
  for (const key of Object.keys(container)) {
    const value = container[key]
    const at = Array.isArray(container) ? `[${key}]` : key
    if (typeof value === 'bigint') return [at, 'it is a BigInt, which JSON cannot hold']
    if (typeof value !== 'object' || value === null) continue
    if (above.has(value)) return [at, 'it leads back to itself (a cycle)']
    const fault = depth > 0 ? findUnwritable(value, above, depth - 1) : undefined
    if (fault !== undefined) return below(at, fault)
  }
  above.delete(container)
  return undefined
}

/**
 * The first known field of another type than it should have. The core checks those that no session
 * can do without.
 *
 * @param {any} state
 * @returns {Fault | undefined}
 */
function findMistyped(state) {
  const name = mistypedOf(state)
  if (name !== undefined) return [name, MISTYPED]
  if (!Array.isArray(state.participants)) return undefined
  for (const [index, participant] of state.participants.entries()) {
    const at = `participants[${index}]`
    if (typeof participant !== 'object' || participant === null) return [at, 'it is not an object']
    const field = mistypedOfParticipant(participant)
    if (field !== undefined) return [`${at}.${field}`, MISTYPED]
  }
  return undefined
}

const MISTYPED = 'its type is not that of this field'

// Spelled out, each is a fast access; by name in a loop they cost four times as much.

/** @param {any} state @returns {string | undefined} */
function mistypedOf(state) {
  if (!isText(state.active_participant_id ?? undefined)) return 'active_participant_id'
  if (!isNumber(state.total_time_ms)) return 'total_time_ms'
  if (!isNumber(state.time_per_cycle_ms ?? undefined)) return 'time_per_cycle_ms'
  if (!isNumber(state.increment_ms ?? undefined)) return 'increment_ms'
  if (!isNumber(state.max_time_ms ?? undefined)) return 'max_time_ms'
  if (!isDate(state.cycle_started_at ?? undefined)) return 'cycle_started_at'
  if (!isDate(state.session_started_at ?? undefined)) return 'session_started_at'
  if (!isDate(state.session_completed_at ?? undefined)) return 'session_completed_at'
  if (!isDate(state.created_at)) return 'created_at'
  if (!isDate(state.updated_at)) return 'updated_at'
  return undefined
}

/** @param {any} participant @returns {string | undefined} */
function mistypedOfParticipant(participant) {
  if (!isText(participant.participant_id)) return 'participant_id'
  if (!isNumber(participant.participant_index)) return 'participant_index'
  if (!isNumber(participant.total_time_ms)) return 'total_time_ms'
  if (!isNumber(participant.time_remaining_ms)) return 'time_remaining_ms'
  if (!isNumber(participant.time_used_ms)) return 'time_used_ms'
  if (!isNumber(participant.cycle_count)) return 'cycle_count'
  if (!isBoolean(participant.is_active)) return 'is_active'
  if (!isBoolean(participant.has_gone)) return 'has_gone'
  if (!isBoolean(participant.has_expired)) return 'has_expired'
  if (!isText(participant.group_id ?? undefined)) return 'group_id'
  return undefined
}

// A field that is undefined is not there.

/** @param {unknown} value */
const isNumber = (value) => value === undefined || typeof value === 'number'
/** @param {unknown} value */
const isText = (value) => value === undefined || typeof value === 'string'
/** @param {unknown} value */
const isBoolean = (value) => value === undefined || typeof value === 'boolean'

/** @param {unknown} value */
function isDate(value) {
  if (typeof value !== 'string') return value === undefined || types.isDate(value)
  return (fromIso(value) ?? fromText(value)) !== undefined
}

/** @param {string} at @param {Fault} fault @returns {Fault} */
function below(at, [path, reason]) {
  return [path === '' || path.startsWith('[') ? at + path : `${at}.${path}`, reason]
}

module.exports = { findChanged, findMistyped, findUnwritable }
