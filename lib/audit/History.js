'use strict'

const { types } = require('node:util')
const { hasIso, toIso } = require('../realm/dates.js')
const { checkId, stored } = require('../document/document.js')
const { InvalidStateError } = require('../realm/errors.js')
const { checkInteger, withDefaults } = require('../settings/options.js')
const { HistoryPage } = require('./HistoryPage.js')

/** The most events of a page. */
const MAX_LIMIT = 1000

/** How many ids of sessions are read at a time. */
const IDS = 1000

/** A page of events. */
const PAGE = Object.freeze({ limit: 50, before: /** @type {unknown} */ (undefined) })

/** What `stateAt` takes, one of the two. */
const WHEN = Object.freeze({
  version: /** @type {unknown} */ (undefined),
  at: /** @type {unknown} */ (undefined),
})

/**
 * What the audit knows of a session, without its state.
 *
 * @typedef {object} Known
 * @property {string} sessionId
 * @property {boolean} hasEnded whether the latest event has no state: a deletion, or an expiry
 * @property {string | null} eventId of the newest state; null where the audit has none
 * @property {number | null} version of the newest state
 * @property {string | null} createdAt
 * @property {string | null} updatedAt
 * @property {string | null} status
 * @property {number} highest the highest version that any row of this session tells
 */

/** Reads what the audit's database has stored (`src/audit/sink/history.rs`). */
class History {
  #ask

  /** @param {(question: object) => Promise<{ rows: any[], more: boolean }>} ask */
  constructor(ask) {
    this.#ask = ask
  }

  /** @param {string} sessionId @param {unknown} page */
  async events(sessionId, page) {
    checkId(sessionId)
    const { limit, before } = withDefaults(PAGE, page, 'page')
    checkInteger('limit', limit, 1, MAX_LIMIT)
    const place = placeOf(before, sessionId)
    const result = new HistoryPage(limit)
    for (let more = true; more && result.missing > 0; ) {
      const events = { sessionId, ...place, limit: result.missing }
      const answer = await this.#ask({ events })
      for (const row of answer.rows) result.add(row)
      const last = answer.rows.at(-1)
      if (last === undefined) await this.#checkEvent(place.beforeEvent, sessionId)
      else Object.assign(place, { beforeEvent: last.id, beforeDate: undefined })
      more = answer.more
    }
    return result.end()
  }

  /** @param {string} sessionId @param {unknown} when */
  async stateAt(sessionId, when) {
    checkId(sessionId)
    const { version, at } = withDefaults(WHEN, when, 'when')
    if ((version === undefined) === (at === undefined)) {
      throw new InvalidStateError('when', 'it has not one of version and at', sessionId)
    }
    const text = await (version === undefined
      ? this.textBefore(sessionId, dateOf('at', at, sessionId))
      : this.textOf(sessionId, version))
    return text === null ? null : stored(text, {})
  }

  /** The text of the state at a time. @param {string} sessionId @param {Date} at */
  async textBefore(sessionId, at) {
    // A date of JavaScript has no fractions of a millisecond; one of PostgreSQL has.
    const date = toIso(at.getTime() + 1)
    const { rows } = await this.#ask({ stateBefore: { sessionId, date } })
    return /** @type {string | null} */ (rows[0]?.state ?? null)
  }

  /** The text of the state with a version. @param {string} sessionId @param {unknown} version */
  async textOf(sessionId, version) {
    if (!(Number.isSafeInteger(version) && /** @type {number} */ (version) >= 0)) {
      throw new InvalidStateError('version', 'it is not a non-negative integer', sessionId)
    }
    const { rows } = await this.#ask({ stateOfVersion: { sessionId, version } })
    return /** @type {string | null} */ (rows[0]?.state ?? null)
  }

  /**
   * The ids of the sessions with an event since a date, in portions.
   *
   * @param {Date} since
   */
  async *sessionsSince(since) {
    /** @type {string | undefined} */
    let after
    do {
      const sessions = { since: toIso(since.getTime()), after, limit: IDS }
      const { rows } = await this.#ask({ sessions })
      const ids = rows.map(({ sessionId }) => /** @type {string} */ (sessionId))
      after = ids.at(-1)
      if (after !== undefined) yield ids
    } while (after !== undefined)
  }

  /** What the audit knows of sessions; nothing of those that it does not know. @param {string[]} sessionIds */
  async newest(sessionIds) {
    /** @type {Known[]} */
    const found = []
    let asked = sessionIds
    while (asked.length > 0) {
      const { rows, more } = await this.#ask({ newest: { sessionIds: asked } })
      found.push(...rows.map(toKnown))
      const known = new Set(rows.map(({ sessionId }) => sessionId))
      asked = more ? asked.filter((id) => !known.has(id)) : []
    }
    return found
  }

  /**
   * The texts of newest states, in portions of a limited size.
   *
   * @param {Known[]} sessions
   */
  async *texts(sessions) {
    const byEvent = new Map(sessions.map((known) => [known.eventId, known]))
    let asked = sessions
    while (asked.length > 0) {
      const eventIds = asked.map(({ eventId }) => eventId)
      const sessionIds = asked.map(({ sessionId }) => sessionId)
      const { rows, more } = await this.#ask({ states: { eventIds, sessionIds } })
      yield rows.map(({ id, state }) => ({
        known: /** @type {Known} */ (byEvent.get(id)),
        text: /** @type {string} */ (state),
      }))
      const last = rows.at(-1)?.id
      asked = more ? asked.slice(eventIds.indexOf(last) + 1) : []
    }
  }

  /** @param {string | undefined} id of the event before which a page begins @param {string} sessionId */
  async #checkEvent(id, sessionId) {
    if (id === undefined) return
    const { rows } = await this.#ask({ states: { eventIds: [id], sessionIds: [sessionId] } })
    if (rows.length > 0) return
    throw new InvalidStateError('before', 'the session has no event with this id', sessionId)
  }
}

/**
 * @param {unknown} before
 * @param {string} sessionId
 * @returns {{ beforeEvent?: string, beforeDate?: string }}
 */
function placeOf(before, sessionId) {
  if (before === undefined) return {}
  if (typeof before === 'string' && before.isWellFormed()) return { beforeEvent: before }
  return { beforeDate: toIso(dateOf('before', before, sessionId).getTime()) }
}

/**
 * @param {string} field
 * @param {unknown} value
 * @param {string} [sessionId]
 */
function dateOf(field, value, sessionId) {
  if (!types.isDate(value) || !hasIso(value.getTime()) || !hasIso(value.getTime() + 1)) {
    throw new InvalidStateError(field, 'it is no date of the years 0 to 9999', sessionId)
  }
  return value
}

/** @param {any} row @returns {Known} */
function toKnown({ sessionId, hasEnded, eventId, version, highest, known, ...dates }) {
  return {
    sessionId,
    hasEnded: hasEnded !== null,
    eventId,
    version: version === null ? null : Number(version),
    ...dates,
    highest: Math.max(Number(highest), Number(known)),
  }
}

module.exports = { History, dateOf }
