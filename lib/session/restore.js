'use strict'

const { dateOf } = require('../audit/History.js')
const {
  ConcurrencyError,
  InvalidStateError,
  SessionExistsError,
  SessionNotFoundError,
} = require('../realm/errors.js')
const { Failure } = require('../realm/settle.js')
const { withDefaults } = require('../settings/options.js')
const { withReason } = require('./reason.js')

/** @typedef {import('../audit/History.js').Known} Known */
/** @typedef {InstanceType<typeof import('../audit/History.js').History>} History */

/** How many sessions are compared, and written, at a time. */
const PORTION = 100

/** Sessions with one of these statuses are not restored. */
const FINAL = new Set(['completed', 'cancelled', 'expired'])

const NOT_RESTORED = 'a session could not be restored'

const WHY = Object.freeze({
  actor: /** @type {unknown} */ (undefined),
  metadata: /** @type {unknown} */ (undefined),
})
const ONE = Object.freeze({ ...WHY, version: /** @type {unknown} */ (undefined) })
const ALL = Object.freeze({
  ...WHY,
  since: /** @type {unknown} */ (undefined),
  dryRun: /** @type {unknown} */ (false),
  onProgress: /** @type {unknown} */ (() => {}),
})

/** Reads the options of the two calls. */
const restoring = {
  /** @param {string} sessionId @param {unknown} options */
  one(sessionId, options) {
    const { version, ...given } = withDefaults(ONE, options)
    return { version, why: reasons(given, sessionId) }
  },

  /** @param {unknown} options */
  all(options) {
    const { since, dryRun, onProgress, ...given } = withDefaults(ALL, options)
    if (typeof dryRun !== 'boolean') throw new InvalidStateError('dryRun', 'it is no boolean')
    if (typeof onProgress !== 'function') {
      throw new InvalidStateError('onProgress', 'it is not a function')
    }
    return { since: dateOf('since', since), dryRun, onProgress, why: reasons(given) }
  },
}

/**
 * What makes the reason of a change that restores a version. Refuses at once what is no reason.
 *
 * @param {{ actor: unknown, metadata: unknown }} given
 * @param {string} [sessionId]
 */
function reasons({ actor, metadata }, sessionId) {
  const why = (/** @type {number} */ from) => {
    const isRecord = typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)
    const members = metadata === undefined || isRecord ? { ...metadata, from } : metadata
    const change = { event: 'session_restored', actor, metadata: members }
    const { reason } = withReason({ reason: undefined }, change, sessionId)
    return /** @type {import('./reason.js').Reason} */ (reason)
  }
  why(Number.MAX_SAFE_INTEGER)
  return why
}

/**
 * A state of a session from the audit, as text: of a version, or the newest.
 *
 * @param {History} history
 * @param {string} sessionId
 * @param {unknown} version
 */
async function earlierState(history, sessionId, version) {
  const [known] = await history.newest([sessionId])
  if (known === undefined || known.eventId === null) throw new SessionNotFoundError(sessionId)
  const from = /** @type {number} */ (version ?? known.version)
  const text = await history.textOf(sessionId, from)
  if (text === null) {
    throw new InvalidStateError('version', 'the audit does not have it', sessionId)
  }
  return { text: compact(text), from, known }
}

/**
 * @typedef {object} Sessions those of a manager
 * @property {(ids: string[]) => Promise<any[]>} read the states; a `Failure` in the place of what is no session
 * @property {(known: Known, text: string, over: number | null) => Promise<void>} write
 *
 * @typedef {{ found: number, restored: number, newer: number, ended: number, failed: number }} Counts
 *
 * @typedef {object} Settings
 * @property {Date} since
 * @property {boolean} dryRun
 * @property {Function} onProgress
 * @property {number} maxInFlight
 * @property {import('../../config/logger.js').Logger} logger
 */

/**
 * Restores the sessions with a record since a date whose newest state is not stored any more.
 *
 * @param {Sessions} sessions
 * @param {History} history
 * @param {Settings} settings
 */
async function restoreLost(sessions, history, settings) {
  const { since, dryRun, onProgress, maxInFlight, logger } = settings
  const counts = { found: 0, restored: 0, newer: 0, ended: 0, failed: 0 }
  const portion = Math.min(PORTION, maxInFlight)
  for await (const ids of history.sessionsSince(since)) {
    for (let at = 0; at < ids.length; at += portion) {
      const lost = await findLost(sessions, history, ids.slice(at, at + portion), counts)
      if (dryRun) counts.restored += lost.size
      else await write(sessions, history, lost, { counts, logger })
      onProgress({ ...counts })
    }
  }
  return counts
}

/**
 * Those of the sessions that are to be restored, each with the version that is stored, or null where
 * none is. Counts the others.
 *
 * @param {Sessions} sessions
 * @param {History} history
 * @param {string[]} ids
 * @param {Counts} counts
 */
async function findLost(sessions, history, ids, counts) {
  /** @type {Map<Known, number | null>} */
  const lost = new Map()
  const known = await history.newest(ids)
  const candidates = known.filter(({ hasEnded, status }) => !hasEnded && !FINAL.has(status ?? ''))
  counts.found += known.length
  counts.ended += known.length - candidates.length
  if (candidates.length === 0) return lost

  const states = await sessions.read(candidates.map(({ sessionId }) => sessionId))
  for (const [at, candidate] of candidates.entries()) {
    const state = states[at]
    if (candidate.eventId === null || state instanceof Failure) counts.failed++
    else if (state === null) lost.set(candidate, null)
    else if (isOlder(state, candidate)) lost.set(candidate, state.version)
    else counts.newer++
  }
  return lost
}

/**
 * Whether a stored state is certainly older than the newest one of the audit. One that was written
 * later may have a lower version, in a new life of the session.
 *
 * @param {any} state
 * @param {Known} known
 */
function isOlder(state, known) {
  const [storedAt, knownAt] = [timeOf(state.updated_at), timeOf(known.updatedAt)]
  if (timeOf(state.created_at) === timeOf(known.createdAt)) {
    return state.version < Number(known.version) && !(storedAt > knownAt)
  }
  return storedAt < knownAt
}

/** @param {unknown} date */
function timeOf(date) {
  return new Date(/** @type {any} */ (date ?? Number.NaN)).getTime()
}

/**
 * Writes the newest states of lost sessions again, those of a portion at a time.
 *
 * @param {Sessions} sessions
 * @param {History} history
 * @param {Map<Known, number | null>} lost
 * @param {{ counts: Counts, logger: import('../../config/logger.js').Logger }} report
 */
async function write(sessions, history, lost, { counts, logger }) {
  for await (const texts of history.texts([...lost.keys()])) {
    const writes = texts.map(async ({ known, text }) => {
      try {
        await sessions.write(known, compact(text), lost.get(known) ?? null)
        counts.restored++
      } catch (err) {
        if (hasChanged(err)) counts.newer++
        else if (err instanceof InvalidStateError) {
          counts.failed++
          logger.warn({ err, sessionId: known.sessionId }, NOT_RESTORED)
        } else throw err
      }
    })
    // All of them are settled before one that failed ends the whole.
    await Promise.allSettled(writes)
    await Promise.all(writes)
  }
}

/** Whether somebody has written or deleted the session since it was compared. @param {unknown} error */
function hasChanged(error) {
  return [ConcurrencyError, SessionExistsError, SessionNotFoundError].some(
    (conflict) => error instanceof conflict,
  )
}

/** The same JSON as this module writes it: PostgreSQL's has spaces, which count for `maxStateBytes`. @param {string} text */
function compact(text) {
  return JSON.stringify(JSON.parse(text))
}

module.exports = { earlierState, restoreLost, restoring }
