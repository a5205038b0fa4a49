'use strict'

const { InvalidStateError } = require('../realm/errors.js')
const { withDefaults } = require('../settings/options.js')

/** The column of `sync_events` holds so many characters. */
const MAX_EVENT = 50
/** The longest metadata, characters of its JSON text. */
const MAX_METADATA = 65_536

/** In JSON text: U+0000, or half a surrogate pair. PostgreSQL refuses both, so the record would be a dead letter. */
const NOT_STORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/

const REASON = Object.freeze({
  event: /** @type {unknown} */ (undefined),
  actor: /** @type {unknown} */ (undefined),
  metadata: /** @type {unknown} */ (undefined),
})

/**
 * Who made a change, and why: the event type, and the JSON text of an object, where they are given.
 *
 * @typedef {{ event: string | undefined, metadata: string | undefined }} Reason
 */

/**
 * The options of a call, and the reason that they give, if they give one.
 *
 * @template {{ reason: undefined }} T
 * @param {T} defaults of a call that gives none: its member `reason` is undefined
 * @param {unknown} given
 * @param {string} [sessionId]
 * @returns {Omit<T, 'reason'> & { reason: Reason | undefined }}
 */
function withReason(defaults, given, sessionId) {
  if (given == null) return defaults
  const { reason: _, ...others } = defaults
  const { event, actor, metadata, ...options } = withDefaults({ ...REASON, ...others }, given)
  const members = membersOf(actor, metadata, sessionId)
  const isGiven = event !== undefined || members !== undefined
  const reason = isGiven ? { event: eventOf(event, sessionId), metadata: members } : undefined
  return { .../** @type {any} */ (options), reason }
}

/** @param {unknown} event @param {string} [sessionId] */
function eventOf(event, sessionId) {
  if (event === undefined) return undefined
  if (typeof event !== 'string' || event === '' || event.length > MAX_EVENT) {
    throw new InvalidStateError(
      'event',
      `it is no string of 1 to ${MAX_EVENT} characters`,
      sessionId,
    )
  }
  if (NOT_STORABLE.test(JSON.stringify(event))) {
    throw new InvalidStateError('event', 'it has a character that no database stores', sessionId)
  }
  return event
}

/** @param {unknown} actor @param {unknown} metadata @param {string} [sessionId] */
function membersOf(actor, metadata, sessionId) {
  if (actor === undefined && metadata === undefined) return undefined
  if (actor !== undefined && (typeof actor !== 'string' || actor === '')) {
    throw new InvalidStateError('actor', 'it is not a string, or empty', sessionId)
  }
  if (metadata !== undefined && !isRecord(metadata)) {
    throw new InvalidStateError('metadata', 'it is not an object', sessionId)
  }
  const text = toJson(
    { .../** @type {any} */ (metadata), ...(actor !== undefined && { actor }) },
    sessionId,
  )
  if (text.length > MAX_METADATA) {
    const reason = `it has ${text.length} characters as JSON, at most ${MAX_METADATA} are allowed`
    throw new InvalidStateError('metadata', reason, sessionId)
  }
  if (NOT_STORABLE.test(text)) {
    throw new InvalidStateError('metadata', 'it has a character that no database stores', sessionId)
  }
  return text
}

/** @param {unknown} value */
function isRecord(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** @param {object} members @param {string} [sessionId] */
function toJson(members, sessionId) {
  try {
    return JSON.stringify(members)
  } catch (cause) {
    throw new InvalidStateError('metadata', 'it cannot be written as JSON', sessionId, cause)
  }
}

module.exports = { withReason }
