'use strict'

const { changesBetween } = require('./changes.js')

/**
 * How many rows may lie between an event and that of the version before: instances whose clocks disagree
 * date versions out of order.
 */
const WINDOW = 8

/**
 * @typedef {object} Row an event, as the core reads it
 * @property {string} id
 * @property {string} eventType
 * @property {string} atMs
 * @property {string | null} metadata
 * @property {string | null} participantId
 * @property {string | null} timeRemainingMs
 * @property {string | null} state
 *
 * @typedef {ReturnType<typeof toEvent>} HistoryEvent
 *
 * @typedef {object} Recent an event of a state
 * @property {HistoryEvent} event
 * @property {any} state
 * @property {any} before the state of the version before; else the next older one of the same life
 */

/**
 * A page of events, built from rows that come newest first. It compares each state with that of the
 * version before, and keeps no more states than it needs for that.
 */
class HistoryPage {
  /** @type {HistoryEvent[]} */
  events = []
  #limit
  #rows = 0
  /** @type {Recent[]} */
  #recent = []

  /** @param {number} limit how many events the page has at most; a row after them serves as the version before */
  constructor(limit) {
    this.#limit = limit
  }

  /** How many rows the page still takes. */
  get missing() {
    return this.#limit + 1 - this.#rows
  }

  /** @param {Row} row the next older one */
  add(row) {
    this.#rows++
    const state = stateOf(row.state)
    const event = toEvent(row, state)
    const isOfPage = this.events.length < this.#limit
    if (isOfPage) this.events.push(event)
    if (state === undefined) return

    const added = { event, state, before: undefined }
    for (const recent of this.#recent) {
      if (recent.state.created_at !== state.created_at) continue
      if (isBefore(state, recent.state)) recent.before = state
      else if (isBefore(recent.state, state)) added.before = recent.state
      else if (state.version < recent.state.version) recent.before ??= state
    }
    if (isOfPage) this.#recent.push(added)
    if (this.#recent.length > WINDOW) conclude(this.#recent.shift())
  }

  /** Ends the page: no more rows come. */
  end() {
    this.#recent.forEach(conclude)
    return this.events
  }
}

/** Whether one is the version before another, of the same life. @param {any} one @param {any} other */
function isBefore(one, other) {
  return one.version === other.version - 1
}

/** Notes what has changed since the version before, if that has come. @param {Recent | undefined} recent */
function conclude(recent) {
  if (recent?.before === undefined) return
  recent.event.changes = changesBetween(recent.before, recent.state)
}

/**
 * @param {Row} row
 * @param {any} state
 */
function toEvent({ id, eventType, atMs, metadata, participantId, timeRemainingMs }, state) {
  const { actor, ...members } = membersOf(metadata)
  return {
    id,
    version: /** @type {number | null} */ (state?.version ?? null),
    eventType,
    at: new Date(Number(atMs)),
    actor: textOf(actor),
    metadata: members,
    // Where the column cannot hold it, the metadata has it.
    participantId: participantId ?? textOf(members.participant_id),
    timeRemainingMs: timeRemainingMs === null ? null : Number(timeRemainingMs),
    changes: /** @type {import('./changes.js').StateChange[] | null} */ (null),
  }
}

/** @param {string | null} text @returns {Record<string, unknown>} */
function membersOf(text) {
  const members = text === null ? null : JSON.parse(text)
  return typeof members === 'object' && members !== null ? members : {}
}

/** @param {unknown} value */
function textOf(value) {
  return typeof value === 'string' ? value : null
}

/** The state of a snapshot; undefined where it is none. @param {string | null} text */
function stateOf(text) {
  const state = text === null ? undefined : JSON.parse(text)
  return typeof state?.version === 'number' ? state : undefined
}

module.exports = { HistoryPage }
